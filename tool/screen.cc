// SPDX-License-Identifier: BSD-2-Clause
#include "tool/screen.h"

#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1
#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cwchar>

#include <curses.h>
#include <unistd.h>

#include "tool/error.h"

namespace m9::tool {
namespace {

// As many characters as fit into `width` columns, and how many columns they take.
std::wstring fitting(const std::string &text, int width, int &columns) {
  const std::string safe = printable(text);
  std::wstring out;
  std::mbstate_t state{};
  columns = 0;
  for (size_t at = 0; at < safe.size();) {
    wchar_t c = L'?';
    const size_t length = std::mbrtowc(&c, safe.data() + at, safe.size() - at, &state);
    const bool bad = length == static_cast<size_t>(-1) || length == static_cast<size_t>(-2) || length == 0;
    if (bad) {
      c = L'?';
      state = {};
    }
    const int wide = ::wcwidth(c);
    if (columns + (wide > 0 ? wide : 1) > width)
      break;
    out += wide >= 0 ? c : L'?';
    columns += wide >= 0 ? wide : 1;
    at += bad ? 1 : length;
  }
  return out;
}

attr_t attributes(look as) {
  switch (as) {
  case look::dim:
    return A_DIM;
  case look::strong:
    return A_BOLD;
  case look::head:
    return A_REVERSE;
  case look::chosen:
    return A_REVERSE | A_BOLD;
  case look::warning:
    return A_BOLD | COLOR_PAIR(1);
  case look::normal:
    break;
  }
  return A_NORMAL;
}

WINDOW *drawn(void *window) { return static_cast<WINDOW *>(window); }

int key_of(wint_t code) {
  switch (code) {
  case KEY_UP:
    return key_up;
  case KEY_DOWN:
    return key_down;
  case KEY_LEFT:
    return key_left;
  case KEY_RIGHT:
    return key_right;
  case KEY_PPAGE:
    return key_page_up;
  case KEY_NPAGE:
    return key_page_down;
  case KEY_HOME:
    return key_home;
  case KEY_END:
    return key_end;
  case KEY_ENTER:
    return key_enter;
  case KEY_BACKSPACE:
    return key_erase;
  case KEY_RESIZE:
    return key_resized;
  default:
    return key_none;
  }
}

} // namespace

screen::screen() {
  if (::isatty(STDOUT_FILENO) == 0 || ::isatty(STDIN_FILENO) == 0)
    throw error("no terminal to draw on (malloc9 stat prints, and top --json)");
  std::setlocale(LC_CTYPE, "");
  terminal = ::newterm(nullptr, stdout, stdin);
  if (terminal == nullptr)
    throw error("this terminal (TERM) is unknown, or cannot be a full screen");
  window = stdscr;
  ::cbreak();
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::set_escdelay(25); // ms; what is longer feels slow where Escape closes a view
  ::curs_set(0);
  if (::has_colors()) {
    ::start_color();
    ::use_default_colors();
    ::init_pair(1, COLOR_RED, -1);
  }
}

screen::~screen() {
  ::endwin();
  ::delscreen(static_cast<SCREEN *>(terminal));
}

int screen::height() const { return ::getmaxy(drawn(window)); }
int screen::width() const { return ::getmaxx(drawn(window)); }

void screen::clear() const { ::werase(drawn(window)); }

void screen::line(int y, const std::string &text, look as, int x) const {
  if (y < 0 || y >= height() || x >= width())
    return;
  int columns = 0;
  const std::wstring shown = fitting(text, width() - x, columns);
  ::wattr_set(drawn(window), attributes(as), 0, nullptr);
  if (as == look::warning)
    ::wattr_set(drawn(window), A_BOLD, 1, nullptr);
  ::wmove(drawn(window), y, x);
  ::waddnwstr(drawn(window), shown.c_str(), static_cast<int>(shown.size()));
  for (; columns < width() - x; columns++)
    ::waddch(drawn(window), ' ');
  ::wattr_set(drawn(window), A_NORMAL, 0, nullptr);
}

void screen::show() const { ::wrefresh(drawn(window)); }

int screen::read(std::chrono::milliseconds limit) const {
  ::wtimeout(drawn(window), static_cast<int>(limit.count()));
  wint_t code = 0;
  const int kind = ::wget_wch(drawn(window), &code);
  if (kind == ERR)
    return key_none;
  if (kind == KEY_CODE_YES)
    return key_of(code);
  if (code == '\r' || code == '\n')
    return key_enter;
  if (code == 27)
    return key_escape;
  return code == 127 || code == 8 ? key_erase : static_cast<int>(code);
}

void move_row(int pressed, size_t &row, size_t count, size_t page) {
  const size_t last = count == 0 ? 0 : count - 1;
  if (pressed == key_up)
    row -= row != 0 ? 1 : 0;
  else if (pressed == key_down)
    row = std::min(row + 1, last);
  else if (pressed == key_page_up)
    row -= std::min(row, page);
  else if (pressed == key_page_down)
    row = std::min(row + page, last);
  else if (pressed == key_home)
    row = 0;
  else if (pressed == key_end)
    row = last;
}

} // namespace m9::tool
