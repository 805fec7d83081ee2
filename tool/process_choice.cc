// SPDX-License-Identifier: BSD-2-Clause
#include "tool/process_choice.h"

#include <algorithm>

namespace m9::tool {

std::vector<process> processes_to_show(const std::string &folder) {
  std::vector<process> all;
  for (const std::string &name : process_folders(folder))
    for (process &p : processes_in(name))
      if (p.problem.empty())
        all.push_back(std::move(p));
  std::stable_partition(all.begin(), all.end(), [](const process &p) { return p.state == "alive"; });
  return all;
}

std::optional<std::string> choose_process(const screen &terminal, const std::string &folder,
                                          std::chrono::milliseconds interval) {
  using clock = std::chrono::steady_clock;
  std::vector<process> all = processes_to_show(folder);
  size_t row = 0, first = 0;
  auto next = clock::now() + interval;
  for (;;) {
    const auto room = static_cast<size_t>(std::max(terminal.height() - 3, 1));
    first = std::clamp(first, row >= room ? row - room + 1 : 0, row);
    terminal.clear();
    terminal.line(0, "Which process? Those that count in live files, and what is left of those that did.",
                  look::strong);
    terminal.line(1, process_heading, look::head);
    for (size_t i = 0; i < room && first + i < all.size(); i++)
      terminal.line(static_cast<int>(i) + 2, process_line(all[first + i]),
                    first + i == row ? look::chosen : look::normal);
    if (all.empty())
      terminal.line(2, "None any more.", look::dim);
    terminal.line(terminal.height() - 1, "Enter opens, q quits", look::dim);
    terminal.show();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now());
    const int pressed = terminal.read(std::max(left, std::chrono::milliseconds(0)));
    if (pressed == 'q' || pressed == key_escape)
      return std::nullopt;
    if ((pressed == key_enter || pressed == key_right) && !all.empty())
      return all[row].name.path;
    move_row(pressed, row, all.size(), room);
    if (clock::now() < next)
      continue;
    // Others come and go; the chosen one stays chosen.
    const std::string chosen = all.empty() ? "" : all[row].name.path;
    all = processes_to_show(folder);
    const auto same = std::find_if(all.begin(), all.end(), [&](const process &p) { return p.name.path == chosen; });
    row = same != all.end() ? static_cast<size_t>(same - all.begin())
                            : std::min(row, std::max<size_t>(all.size(), 1) - 1);
    next = clock::now() + interval;
  }
}

} // namespace m9::tool
