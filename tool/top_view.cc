// SPDX-License-Identifier: BSD-2-Clause
#include "tool/top_view.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "tool/error.h"

namespace m9::tool {
namespace {

struct column {
  top_key key;
  char letter;
  const char *word;
  const char *head;
  int width;
};

constexpr std::array columns = {
    column{top_key::inuse, 'u', "inuse", "InUse", 10},          column{top_key::memuse, 'm', "memuse", "MemUse", 10},
    column{top_key::highuse, 'h', "highuse", "HighUse", 11},    column{top_key::growth, 'g', "growth", "Growth/s", 11},
    column{top_key::allocs, 'a', "allocs", "Allocs/s", 10},     column{top_key::frees, 'f', "frees", "Frees/s", 10},
    column{top_key::requests, 'r', "requests", "Requests", 12},
};

constexpr int least_name = 20;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return text;
}

// Three digits and a unit, as in "12.3M".
std::string short_bytes(double bytes) {
  const double size = std::abs(bytes);
  const char *unit = "BKMGTP";
  double n = size;
  for (; n >= 1000 && unit[1] != 0; unit++)
    n /= 1024;
  return fmt::format(fmt::runtime(*unit == 'B' || n >= 100 ? "{}{:.0f}{}" : "{}{:.1f}{}"), bytes < 0 ? "-" : "", n,
                     *unit);
}

std::string cell(const column &c, const watched_type &type) {
  switch (c.key) {
  case top_key::inuse:
    return fmt::format("{}", type.total.inuse());
  case top_key::memuse:
    return short_bytes(static_cast<double>(type.total.memuse()));
  case top_key::highuse:
    return (type.high_exact ? "" : ">=") + short_bytes(static_cast<double>(type.high));
  case top_key::growth:
    return (type.growth_rate > 0 ? "+" : "") + short_bytes(type.growth_rate);
  case top_key::allocs:
    return fmt::format("{:.0f}", type.allocs_rate);
  case top_key::frees:
    return fmt::format("{:.0f}", type.frees_rate);
  case top_key::requests:
    return fmt::format("{}", type.done.numallocs);
  case top_key::name:
    break;
  }
  return {};
}

// The figures take what they need, as long as the name keeps its least; later columns are left out first.
size_t columns_shown(int width) {
  int left = width - least_name;
  size_t shown = 0;
  while (shown < columns.size() && left >= columns[shown].width + 1)
    left -= columns[shown++].width + 1;
  return shown;
}

int name_width(int width) {
  for (size_t i = 0, shown = columns_shown(width); i < shown; i++)
    width -= columns[i].width + 1;
  return std::max(width, 1);
}

// Cut to `width` bytes, at a character's end, and filled up.
std::string fitted(const std::string &text, int width) {
  std::string out = printable(text);
  if (out.size() > static_cast<size_t>(width)) {
    auto end = static_cast<size_t>(width - 1);
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80)
      end--;
    out.resize(end);
    out += '>';
  }
  return fmt::format("{:<{}}", out, width);
}

void add_place(std::vector<std::string> &lines, const char *what, const std::string &function, const std::string &file,
               uint32_t line) {
  if (function.empty() && file.empty())
    return;
  const std::string where = file.empty() ? "" : fmt::format("  {}{}", file, line != 0 ? fmt::format(":{}", line) : "");
  lines.push_back(fmt::format("  {:<10}{}{}", what, function.empty() ? "(unknown)" : function, where));
}

void add_sizes(std::vector<std::string> &lines, const model &m, const model_type &type) {
  lines.emplace_back("");
  lines.push_back(fmt::format("  {:>10} {:>12} {:>16} {:>14} {:>14}", "Size", "InUse", "Bytes", "Allocs", "Frees"));
  for (const model_cell &cell : type.cells) {
    const counts c = total_of(cell.by_cpu);
    const uint64_t size = m.zones[cell.zone].size;
    if (c.any())
      lines.push_back(fmt::format("  {:>10} {:>12} {:>16} {:>14} {:>14}", size != 0 ? std::to_string(size) : "large",
                                  c.inuse(), c.memuse(), c.numallocs, c.numfrees));
  }
}

void add_cpus(std::vector<std::string> &lines, const model &m, const model_type &type) {
  lines.emplace_back("");
  lines.push_back(
      fmt::format("  {:>10} {:>14} {:>14} {:>18} {:>18}", "CPU", "Allocs", "Frees", "BytesAlloced", "BytesFreed"));
  const std::vector<counts> by_cpu = type_by_cpu(m, type);
  for (size_t p = 0; p < by_cpu.size(); p++)
    if (by_cpu[p].any())
      lines.push_back(fmt::format("  {:>10} {:>14} {:>14} {:>18} {:>18}", cpu_name(m.cpus[p]), by_cpu[p].numallocs,
                                  by_cpu[p].numfrees, by_cpu[p].memalloced, by_cpu[p].memfreed));
}

} // namespace

std::optional<top_key> top_key_of(const std::string &word) {
  if (word == "name")
    return top_key::name;
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const column &c) { return word == c.word; });
  return found != columns.end() ? std::optional(found->key) : std::nullopt;
}

std::optional<top_key> top_key_of(int letter) {
  if (letter == 'n')
    return top_key::name;
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const column &c) { return letter == c.letter; });
  return found != columns.end() ? std::optional(found->key) : std::nullopt;
}

std::vector<std::string> top_key_words() {
  std::vector<std::string> words{"name"};
  for (const column &c : columns)
    words.emplace_back(c.word);
  return words;
}

const std::string &top_names::shown(const model &m, const model_type &type) {
  const auto [at, is_new] = known.try_emplace(type_identity(m, type));
  if (is_new) {
    naming names(m, how);
    at->second = names.shown(type);
  }
  return at->second;
}

const std::string &top_view::name(const watched_type &type) {
  return names.shown(seen.last(), seen.last().types[type.index]);
}

double top_view::measure(const watched_type &type) const {
  switch (sort) {
  case top_key::memuse:
    return static_cast<double>(type.total.memuse());
  case top_key::inuse:
    return static_cast<double>(type.total.inuse());
  case top_key::highuse:
    return static_cast<double>(type.high);
  case top_key::allocs:
    return type.allocs_rate;
  case top_key::frees:
    return type.frees_rate;
  case top_key::growth:
    return type.growth_rate;
  case top_key::requests:
    return static_cast<double>(type.done.numallocs);
  case top_key::name:
    break;
  }
  return 0;
}

void top_view::refresh() {
  const std::vector<watched_type> &types = seen.types();
  const std::string wanted = lower(filter);
  rows.clear();
  for (size_t i = 0; i < types.size(); i++)
    if (wanted.empty() || lower(name(types[i])).find(wanted) != std::string::npos)
      rows.push_back(i);
  // What is equal stays in the order of the table, so that rows do not jump about.
  std::stable_sort(rows.begin(), rows.end(), [&](size_t a, size_t b) {
    return sort == top_key::name ? name(types[a]) < name(types[b]) : measure(types[a]) > measure(types[b]);
  });
  const auto same = std::find_if(rows.begin(), rows.end(), [&](size_t i) {
    return type_identity(seen.last(), seen.last().types[types[i].index]) == chosen_identity;
  });
  if (at != 0 && same != rows.end())
    at = static_cast<size_t>(same - rows.begin());
  choose(at);
}

// At the top the chosen row is whichever is first; anywhere else it is that type.
void top_view::choose(size_t row) {
  at = rows.empty() ? 0 : std::min(row, rows.size() - 1);
  const watched_type *w = type(at);
  chosen_identity = w != nullptr ? type_identity(seen.last(), seen.last().types[w->index]) : "";
}

std::string top_view::summary() const {
  counts all;
  double allocs = 0, frees = 0, growth = 0;
  for (const watched_type &type : seen.types()) {
    all += type.total;
    allocs += type.allocs_rate;
    frees += type.frees_rate;
    growth += type.growth_rate;
  }
  const model &m = seen.last();
  return fmt::format("{} (pid {}), {}: {} live in {} items of {} types, {}{}/s, {:.0f} allocs/s, {:.0f} frees/s",
                     printable(m.program), m.pid, view_mode_name(m.mode),
                     short_bytes(static_cast<double>(all.memuse())), all.inuse(), seen.types().size(),
                     growth > 0 ? "+" : "", short_bytes(growth), allocs, frees);
}

std::string top_view::heading(int width) const {
  std::string text = fitted(sort == top_key::name ? "Type*" : "Type", name_width(width));
  for (size_t i = 0, shown = columns_shown(width); i < shown; i++)
    text += fmt::format(" {:>{}}", columns[i].head + std::string(columns[i].key == sort ? "*" : ""), columns[i].width);
  return text;
}

std::string top_view::row(size_t index, int width) {
  const watched_type &w = *type(index);
  std::string text = fitted(name(w), name_width(width));
  for (size_t i = 0, shown = columns_shown(width); i < shown; i++)
    text += fmt::format(" {:>{}}", cell(columns[i], w), columns[i].width);
  return text;
}

// Read once for each type that is opened: debug information may take seconds.
const named_site &top_view::site_of_chosen(const model_type &type) {
  if (opened_identity != chosen_identity) {
    naming_options thorough = how;
    thorough.source = how.source == name_source::dump ? name_source::dump : name_source::debug;
    naming found(seen.last(), thorough);
    opened = found.site_of(type);
    opened_identity = chosen_identity;
  }
  return opened;
}

std::vector<std::string> top_view::details() {
  const watched_type *w = type(at);
  if (w == nullptr)
    return {};
  const model &m = seen.last();
  const model_type &t = m.types[w->index];
  const named_site &site = site_of_chosen(t);
  std::vector<std::string> lines{name(*w), ""};
  if (t.module < m.modules.size()) {
    const model_module &module = m.modules[t.module];
    lines.push_back(fmt::format("  {:<10}{}+0x{:x}", "module", module.path, t.offset));
    if (!module.build_id.empty())
      lines.push_back(fmt::format("  {:<10}{}", "build-id", module.build_id));
  }
  add_place(lines, "function", site.function, site.file, site.line);
  for (const source_frame &frame : site.inlined)
    add_place(lines, &frame == &site.inlined.back() ? "in" : "inlined", frame.function, frame.file, frame.line);
  lines.emplace_back("");
  lines.push_back(fmt::format("  {} live in {} items, at most {}{} bytes", w->total.memuse(), w->total.inuse(),
                              w->high_exact ? "" : ">=", w->high));
  lines.push_back(
      fmt::format("  {:.1f} allocs/s, {:.1f} frees/s, {:+.0f} bytes/s", w->allocs_rate, w->frees_rate, w->growth_rate));
  add_sizes(lines, m, t);
  add_cpus(lines, m, t);
  return lines;
}

} // namespace m9::tool
