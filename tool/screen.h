// SPDX-License-Identifier: BSD-2-Clause
//
// A terminal as a full screen, by ncurses, whose macros stay in screen.cc. Texts may hold anything: what a terminal
// would act on is shown as \xNN, and what does not fit is cut off.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace m9::tool {

enum class look { normal, dim, strong, head, chosen, warning };

enum key : int {
  key_none = 0,
  key_up = 0x110000,
  key_down,
  key_left,
  key_right,
  key_page_up,
  key_page_down,
  key_home,
  key_end,
  key_enter,
  key_escape,
  key_erase,
  key_resized
};

class screen {
public:
  // Throws error where there is no terminal, or one that cannot be a full screen.
  screen();
  ~screen(); // the terminal as it was
  screen(const screen &) = delete;
  screen &operator=(const screen &) = delete;

  int height() const;
  int width() const;

  void clear() const;
  // A line, from column `x` on; the rest of it is filled up in the same look.
  void line(int y, const std::string &text, look as = look::normal, int x = 0) const;
  void show() const;
  // A character (Unicode), a `key`, or key_none after `limit`.
  int read(std::chrono::milliseconds limit) const;

private:
  void *terminal;         // ncurses' SCREEN
  void *window = nullptr; // its WINDOW
};

// Where a key that moves leads from `row` of a list, of which a page is seen at a time. Other keys lead nowhere.
void move_row(int pressed, size_t &row, size_t count, size_t page);

} // namespace m9::tool
