// SPDX-License-Identifier: BSD-2-Clause
#include "tool/budget.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <fnmatch.h>
#include <toml++/toml.h>

#include "tool/error.h"

namespace m9::tool {
namespace {

constexpr const char *figure_names[] = {"live", "peak", "allocations", "rate", "leaks"};

struct unit {
  const char *name;
  uint64_t bytes;
};

constexpr unit units[] = {{"", 1},
                          {"B", 1},
                          {"K", 1024},
                          {"M", 1024 * 1024},
                          {"G", 1024 * 1024 * 1024},
                          {"KiB", 1024},
                          {"MiB", 1024 * 1024},
                          {"GiB", 1024 * 1024 * 1024},
                          {"kB", 1000},
                          {"MB", 1000 * 1000},
                          {"GB", 1000 * 1000 * 1000}};

struct reader {
  const std::string &path;

  [[noreturn]] void fail(const toml::source_position &at, const std::string &what) const {
    throw error(fmt::format("{}:{}:{}: {}", printable(path), at.line, at.column, printable(what)));
  }

  static budget_place place_of(const toml::node &node) {
    const toml::source_region &r = node.source();
    return {r.begin.line, r.begin.column, r.end.line, r.end.column};
  }

  // "64 KiB"
  uint64_t size_of(const toml::node &node, const std::string &text) const {
    uint64_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
    while (rest.starts_with(' '))
      rest.remove_prefix(1);
    const auto *found = std::find_if(std::begin(units), std::end(units), [&](const unit &u) { return rest == u.name; });
    if (failed != std::errc() || found == std::end(units) || number > UINT64_MAX / found->bytes)
      fail(node.source().begin,
           fmt::format("{}: not a size (\"64 KiB\"; units: B, K, M, G, KiB, MiB, GiB, kB, MB, GB)", text));
    return number * found->bytes;
  }

  uint64_t value_of(const toml::node &node, figure_kind kind) const {
    if (const auto number = node.value_exact<int64_t>(); number && *number >= 0)
      return static_cast<uint64_t>(*number);
    const auto text = node.value_exact<std::string>();
    if (text && figure_is_bytes(kind))
      return size_of(node, *text);
    fail(node.source().begin, fmt::format("{}: wants a whole number, 0 or more{}", figure_name(kind),
                                          figure_is_bytes(kind) ? ", or a size such as \"64 KiB\"" : ""));
  }

  // A number alone is the most; or { max = N, min = N }, or { exactly = N }.
  budget_limit limit_of(const toml::node &node, figure_kind kind) const {
    budget_limit limit{kind, 0, UINT64_MAX, {}};
    if (!node.is_table()) {
      limit.most = value_of(node, kind);
      limit.values.push_back({place_of(node)});
      return limit;
    }
    for (const auto &[key, value] : *node.as_table()) {
      const uint64_t number = value_of(value, kind);
      if (key == "max" || key == "exactly")
        limit.most = number;
      if (key == "min" || key == "exactly")
        limit.least = number;
      if (key != "max" && key != "min" && key != "exactly")
        fail(key.source().begin, fmt::format("{}: no such limit (there are max, min and exactly)", key.str()));
      limit.values.push_back({place_of(value), key == "min"});
    }
    if (limit.values.empty() || limit.least > limit.most)
      fail(node.source().begin, fmt::format("{}: {}", figure_name(kind),
                                            limit.values.empty() ? "wants max, min or exactly" : "min is above max"));
    return limit;
  }

  budget budget_of(const toml::table &table) const {
    budget b{group_by::type, "", {}, place_of(table)};
    bool named = false;
    for (const auto &[key, value] : table) {
      const std::string name(key.str());
      if (name == "type" || name == "function" || name == "file" || name == "module") {
        const auto glob = value.value_exact<std::string>();
        if (!glob || glob->empty())
          fail(value.source().begin, name + ": wants a glob, such as \"cache_*\"");
        if (named)
          fail(key.source().begin, name + ": a budget has one of type, function, file and module");
        named = true;
        b.by = group_by_of(name);
        b.glob = *glob;
        continue;
      }
      const auto *found = std::find(std::begin(figure_names), std::end(figure_names), name);
      if (found == std::end(figure_names))
        fail(key.source().begin,
             fmt::format("{}: no such figure (there are live, peak, allocations, rate and leaks)", name));
      b.limits.push_back(limit_of(value, figure_kinds[found - std::begin(figure_names)]));
    }
    if (!named)
      fail(table.source().begin, "a budget wants type, function, file or module, and a glob");
    if (b.limits.empty())
      fail(table.source().begin, "a budget wants a limit: live, peak, allocations, rate or leaks");
    std::sort(b.limits.begin(), b.limits.end(),
              [](const budget_limit &x, const budget_limit &y) { return x.kind < y.kind; });
    return b;
  }
};

std::string read_whole(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file)
    text << file.rdbuf();
  if (!file || !text)
    throw error(fmt::format("{}: {}", printable(path), errno_text(errno)));
  return std::move(text).str();
}

// Of a place, in bytes. Columns count code points, as toml++ does.
size_t offset_of(const std::string &text, uint32_t line, uint32_t column) {
  size_t at = 0;
  for (uint32_t l = 1; l < line && at != std::string::npos; l++)
    at = text.find('\n', at) + 1;
  const auto continues = [&](size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };
  for (uint32_t c = 1; c < column && at < text.size(); c++)
    do
      at++;
    while (at < text.size() && continues(at));
  return at;
}

} // namespace

const char *figure_name(figure_kind kind) { return figure_names[static_cast<size_t>(kind)]; }

bool figure_is_bytes(figure_kind kind) { return kind == figure_kind::live || kind == figure_kind::peak; }

uint64_t figure_value(const model_head &head, const figures &of, figure_kind kind) {
  switch (kind) {
  case figure_kind::live:
    return of.memuse;
  case figure_kind::peak:
    return of.highuse;
  case figure_kind::allocations:
    return of.numallocs;
  case figure_kind::rate:
    return rate_of(head, of.numallocs);
  case figure_kind::leaks:
    break;
  }
  return of.inuse;
}

budget_file budget_load(const std::string &path) {
  budget_file file{path, read_whole(path), {}};
  const reader r{path};
  try {
    const toml::table root = toml::parse(file.text, path);
    for (const auto &[key, value] : root) {
      if (key != "budget")
        r.fail(key.source().begin, fmt::format("{}: unknown (a budget file has [[budget]] tables)", key.str()));
      if (!value.is_array_of_tables())
        r.fail(value.source().begin, "budget: wants [[budget]] tables");
      for (const toml::node &node : *value.as_array())
        file.budgets.push_back(r.budget_of(*node.as_table()));
    }
  } catch (const toml::parse_error &e) {
    r.fail(e.source().begin, std::string(e.description()));
  }
  if (file.budgets.empty())
    throw error(fmt::format("{}: has no [[budget]] (--bless writes a first one into a file that is not there)",
                            printable(path)));
  return file;
}

std::string budget_replace(const std::string &text, std::vector<std::pair<budget_place, std::string>> values) {
  std::sort(values.begin(), values.end(), [](const auto &a, const auto &b) {
    return std::pair(a.first.line, a.first.column) > std::pair(b.first.line, b.first.column);
  });
  std::string changed = text;
  for (const auto &[place, value] : values) {
    const size_t begin = offset_of(text, place.line, place.column);
    const size_t end = offset_of(text, place.end_line, place.end_column);
    changed.replace(begin, end - begin, value);
  }
  return changed;
}

std::string budget_new(const model &m, naming &names) {
  constexpr size_t most_functions = 50;
  const figures all = total_figures(m);
  const std::string peak = m.peak ? fmt::format("peak = {}\n", m.peak->most) : "";
  std::string text = fmt::format("# What {} may take; malloc9 check --budget FILE holds it to that.\n\n"
                                 "[[budget]]\nfunction = \"*\"\nlive = {}\n{}allocations = {}\nleaks = {}\n",
                                 printable(m.program), all.memuse, peak, all.numallocs, all.inuse);
  std::vector<group> groups = groups_of(m, names, group_by::function);
  groups_sort(groups, group_order::live);
  for (size_t i = 0; i < groups.size() && i < most_functions && groups[i].sum.inuse != 0; i++) {
    std::ostringstream name;
    std::string glob;
    for (const char c : groups[i].name) // what a glob would not take for itself
      glob.append(std::string_view("*?[]\\").find(c) != std::string_view::npos ? "\\" : "").append(1, c);
    name << toml::value<std::string>(glob);
    text += fmt::format("\n[[budget]]\nfunction = {}\nlive = {}\nleaks = {}\n", name.str(), groups[i].sum.memuse,
                        groups[i].sum.inuse);
  }
  return text;
}

bool glob_matches(const std::string &glob, const std::string &name) {
  return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

} // namespace m9::tool
