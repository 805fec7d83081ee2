// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 top: a process's types, again and again, on the whole screen. A key acts at once; a look is taken when its
// time has come.
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tool/error.h"
#include "tool/json.h"
#include "tool/options.h"
#include "tool/process_choice.h"
#include "tool/screen.h"
#include "tool/top_view.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

using std::chrono::milliseconds;

struct top_options {
  std::string target, folder, filter, sort = "memuse", names_from = "auto";
  uint64_t interval = 1000; // ms
  bool json = false;
  naming_options names;
};

constexpr uint64_t least_interval = 10, most_interval = 3600 * 1000; // ms

const char *const help_lines[] = {
    "Up, Down, PgUp, PgDn, Home, End   choose a type",
    "Enter                             all that is known of it; Escape goes back",
    "m u h                             sort by MemUse, InUse, HighUse",
    "g a f                             sort by Growth/s, Allocs/s, Frees/s",
    "r n                               sort by Requests, by name",
    "/                                 show types with a text in their name; Escape shows all again",
    "+ -                               look twice as often, half as often",
    "Space                             stop, and go on",
    "q                                 quit",
};

class top_loop {
public:
  top_loop(const top_options &options, watch &what, top_view &shown, const screen &on)
      : interval(options.interval), seen(what), view(shown), terminal(on) {}

  void run() {
    next = watch::clock::now() + milliseconds(interval);
    while (!over) {
      draw();
      const auto moment = watch::clock::now();
      const auto left = std::chrono::ceil<milliseconds>(next - moment);
      // While stopped, keys are all there is to wait for.
      const int pressed = terminal.read(stopped ? milliseconds(1000) : std::max(left, milliseconds(0)));
      if (pressed != key_none)
        act(pressed);
      if (!stopped && watch::clock::now() >= next)
        look_again();
    }
  }

private:
  enum class mode { list, details, help };

  void look_again() {
    try {
      seen.look();
      trouble.clear();
      view.refresh();
    } catch (const error &e) {
      trouble = e.what();
    }
    next = watch::clock::now() + milliseconds(interval);
  }

  int room() const { return std::max(terminal.height() - 3, 1); }

  void draw() {
    terminal.clear();
    if (trouble.empty())
      terminal.line(0, view.summary(), look::strong);
    else
      terminal.line(0, trouble, look::warning);
    if (now == mode::list)
      draw_list();
    else
      draw_lines();
    terminal.line(terminal.height() - 1, footer(), look::dim);
    terminal.show();
  }

  std::string footer() const {
    if (typing)
      return fmt::format("Show types with: {}_", view.filter);
    std::string text = stopped ? "STOPPED (Space goes on)  " : fmt::format("every {} ms  ", interval);
    if (!view.filter.empty())
      text += fmt::format("with \"{}\": {}  ", view.filter, view.size());
    return text + (now == mode::list ? "Enter opens, / filters, ? help, q quits" : "Escape goes back, q quits");
  }

  void draw_list() {
    terminal.line(1, view.heading(terminal.width()), look::head);
    const auto lines = static_cast<size_t>(room());
    if (view.chosen() < first)
      first = view.chosen();
    if (view.chosen() >= first + lines)
      first = view.chosen() - lines + 1;
    for (size_t i = 0; i < lines && first + i < view.size(); i++)
      terminal.line(static_cast<int>(i) + 2, view.row(first + i, terminal.width()),
                    first + i == view.chosen() ? look::chosen : look::normal);
    if (view.size() == 0)
      terminal.line(2, view.filter.empty() ? "Nothing was allocated yet." : "No type has this in its name.", look::dim);
  }

  void draw_lines() {
    const std::vector<std::string> lines =
        now == mode::help ? std::vector<std::string>(std::begin(help_lines), std::end(help_lines)) : view.details();
    const auto fit = static_cast<size_t>(room());
    scrolled = lines.size() > fit ? std::min(scrolled, lines.size() - fit) : 0;
    for (size_t i = 0; i < fit && scrolled + i < lines.size(); i++)
      terminal.line(static_cast<int>(i) + 2, lines[scrolled + i], i + scrolled == 0 ? look::strong : look::normal);
  }

  void act(int pressed) {
    if (typing)
      type_letter(pressed);
    else if (pressed == 'q')
      over = true;
    else if (pressed == ' ')
      stopped = !stopped;
    else if (pressed == '?')
      show(mode::help);
    else if (pressed == '+')
      interval = std::max(interval / 2, least_interval);
    else if (pressed == '-')
      interval = std::min(interval * 2, most_interval);
    else if (now != mode::list)
      act_in_lines(pressed);
    else
      act_in_list(pressed);
  }

  void show(mode what) {
    now = what;
    scrolled = 0;
  }

  void act_in_lines(int pressed) {
    if (pressed == key_escape || pressed == key_erase || pressed == key_left || pressed == key_enter)
      now = mode::list;
    else
      move_row(pressed, scrolled, scrolled + 1000, static_cast<size_t>(room()));
  }

  void act_in_list(int pressed) {
    size_t row = view.chosen();
    if (pressed == '/') {
      typing = true;
    } else if (pressed == key_escape) {
      view.filter.clear();
      view.refresh();
    } else if ((pressed == key_enter || pressed == key_right) && view.size() != 0) {
      show(mode::details);
    } else if (const auto sort = top_key_of(pressed)) {
      view.sort = *sort;
      view.refresh();
    } else {
      move_row(pressed, row, view.size(), static_cast<size_t>(room()));
      view.choose(row);
    }
  }

  void type_letter(int pressed) {
    if (pressed == key_enter || pressed == key_escape) {
      typing = false;
      if (pressed == key_escape)
        view.filter.clear();
    } else if (pressed == key_erase && !view.filter.empty()) {
      view.filter.pop_back();
    } else if (pressed >= ' ' && pressed < 127) {
      view.filter += static_cast<char>(pressed);
    }
    view.refresh();
  }

  uint64_t interval; // ms
  watch &seen;
  top_view &view;
  const screen &terminal;
  watch::clock::time_point next;
  mode now = mode::list;
  bool over = false, stopped = false, typing = false;
  size_t first = 0, scrolled = 0;
  std::string trouble;
};

void print_json(top_view &view, const watch &seen) {
  output out = standard_output();
  json_writer json(out);
  json.begin_object();
  add_head(json, seen.last());
  json.member("seconds", seen.between());
  json.key("types").begin_array();
  for (size_t i = 0; i < view.size(); i++) {
    const watched_type &w = *view.type(i);
    json.begin_object();
    json.member("type", seen.last().types[w.index].name);
    json.member("name", view.name(w));
    json.member("inuse", w.total.inuse());
    json.member("memuse", w.total.memuse());
    json.member("highuse", w.high);
    json.member("highuse_exact", w.high_exact);
    json.member("numallocs", w.done.numallocs);
    json.member("numfrees", w.done.numfrees);
    json.member("allocs_per_second", w.allocs_rate);
    json.member("frees_per_second", w.frees_rate);
    json.member("bytes_per_second", w.growth_rate);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  json.finish();
  out.finish();
}

// Without a TARGET: the only process there is, or the one that is chosen, for which a screen is made. Empty: none was.
std::string target_of(const top_options &options, std::optional<screen> &terminal) {
  if (!options.target.empty())
    return options.target;
  const std::vector<process> all = processes_to_show(options.folder);
  if (all.empty())
    throw error(
        "top of what? No process counts in a live file; `malloc9 run --live PROGRAM` starts one, and a file can "
        "be named");
  if (all.size() == 1)
    return all[0].name.path;
  if (options.json) {
    std::vector<uint64_t> pids;
    for (const process &p : all)
      pids.push_back(p.name.pid);
    throw error(fmt::format("top --json: of which process? Name one by its pid: {}", fmt::join(pids, ", ")));
  }
  terminal.emplace();
  return choose_process(*terminal, options.folder, milliseconds(options.interval)).value_or("");
}

void top(top_options &options) {
  if (options.interval < least_interval || options.interval > most_interval)
    throw error(fmt::format("--interval {}: must be {} to {}", options.interval, least_interval, most_interval));
  if (options.names_from != "auto")
    options.names.source = options.names_from == "dump" ? name_source::dump : name_source::debug;
  std::optional<screen> terminal;
  const std::string target = target_of(options, terminal);
  if (target.empty())
    return;
  watch seen(target);
  seen.look();
  top_view view(seen, options.names);
  view.sort = *top_key_of(options.sort);
  view.filter = options.filter;
  if (options.json) {
    std::this_thread::sleep_for(milliseconds(options.interval));
    seen.look();
    view.refresh();
    print_json(view, seen);
    return;
  }
  view.refresh();
  if (!terminal)
    terminal.emplace();
  top_loop(options, seen, view, *terminal).run();
}

} // namespace

void add_top(CLI::App &app) {
  verb_options verb = add_verb(
      app, "top", "Show who allocates, now, on the whole screen",
      "Types with their rates per second, looked at again every second. Keys sort, filter, and open a type:\n"
      "where it is, what was inlined, its sizes and CPUs. ? lists them. Without TARGET the processes that count in\n"
      "live files (malloc9 ps) are listed, to choose one; a single one is shown at once.");
  auto options = std::make_shared<top_options>();
  verb.operand("TARGET", options->target, "A live process or file, or a dump, as `malloc9 stat` reads them", false);
  verb.text("--dir", options->folder, "Without TARGET: the folder of live files [as malloc9 ps]", "FOLDER");
  verb.number("-i,--interval", options->interval, "Milliseconds from one look to the next [1000]");
  verb.choice("--sort", options->sort, top_key_words(), "What to sort by");
  verb.text("--filter", options->filter, "Show types with this in their name", "TEXT");
  verb.flag("--json", options->json, "Look twice, an interval apart, and print the second as JSON, with rates");
  verb.choice("--names", options->names_from, {"auto", "dump", "debug"},
              "Whence the names of functions: auto (debug information where TARGET has none), dump (TARGET), debug");
  verb.text("--debug-dir", options->names.debug_folder, "Where debug files are [/usr/lib/debug]");
  verb.action([options] { top(*options); });
}

} // namespace m9::tool
