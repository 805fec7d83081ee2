// SPDX-License-Identifier: BSD-2-Clause
#include "tool/judge.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <unordered_map>

#include <fmt/format.h>

#include "tool/error.h"

namespace m9::tool {
namespace {

constexpr size_t most_worst = 3;

const char *by_name(group_by by) {
  constexpr const char *names[] = {"type", "function", "file", "module"};
  return names[static_cast<size_t>(by)];
}

// The groups of each kind, made when first asked for: files cost a look at all debug information.
class groupings {
public:
  groupings(const model &statistics, naming &how) : m(statistics), names(how) {}

  const std::vector<group> &of(group_by by) {
    const auto known = made.find(by);
    if (known != made.end())
      return known->second;
    if (by != group_by::file)
      return made.emplace(by, groups_of(m, names, by)).first->second;
    naming files(m, naming_for(names.options(), by));
    return made.emplace(by, groups_of(m, files, by)).first->second;
  }

private:
  const model &m;
  naming &names;
  std::map<group_by, std::vector<group>> made;
};

std::vector<const group *> matching(const std::vector<group> &groups, const std::string &glob) {
  std::vector<const group *> found;
  for (const group &g : groups)
    if (glob_matches(glob, g.name))
      found.push_back(&g);
  return found;
}

std::string amount(const measurement &measured, bool bytes) {
  return measurement_text(measured) + (bytes ? " bytes" : "");
}

measurement measured_part(const model_head &head, const figures &of, figure_kind kind) {
  const uint64_t value = figure_value(head, of, kind);
  return {{value, value}, kind == figure_kind::peak && !of.highuse_exact};
}

// `all`: these are all the types that there are.
measurement measured_of(const model &m, const figures &of, figure_kind kind, bool all) {
  if (kind == figure_kind::peak && all && m.peak)
    return {*m.peak};
  return measured_part(m, of, kind);
}

std::vector<std::string> worst_of(const model_head &head, std::vector<const group *> groups, figure_kind kind) {
  const auto value = [&](const group *g) { return figure_value(head, g->sum, kind); };
  std::stable_sort(groups.begin(), groups.end(), [&](const group *a, const group *b) { return value(a) > value(b); });
  std::vector<std::string> worst;
  for (const group *g : groups)
    if (worst.size() < most_worst && value(g) != 0)
      worst.push_back(fmt::format("{}: {}", g->name, amount(measured_part(head, g->sum, kind), figure_is_bytes(kind))));
  return worst;
}

figures sum_of(const std::vector<const group *> &groups) {
  figures sum;
  for (const group *g : groups)
    sum += g->sum;
  return sum;
}

} // namespace

std::vector<verdict> judge_budget(const model &m, naming &names, const budget_file &file) {
  groupings known(m, names);
  std::vector<verdict> verdicts;
  for (const budget &b : file.budgets) {
    const auto groups = matching(known.of(b.by), b.glob);
    const bool all = groups.size() == known.of(b.by).size();
    const figures sum = sum_of(groups);
    for (const budget_limit &limit : b.limits) {
      verdict v{fmt::format("{} {}", by_name(b.by), b.glob),
                figure_name(limit.kind),
                figure_is_bytes(limit.kind),
                limit.least,
                limit.most,
                measured_of(m, sum, limit.kind, all),
                groups.size(),
                {},
                file.path,
                b.place.line};
      if (!limit.values.empty())
        v.line = limit.values.front().place.line;
      if (!v.kept())
        v.worst = worst_of(m, groups, limit.kind);
      verdicts.push_back(std::move(v));
    }
  }
  return verdicts;
}

std::string budget_blessed(const model &m, naming &names, const budget_file &file) {
  groupings known(m, names);
  std::vector<std::pair<budget_place, std::string>> values;
  for (const budget &b : file.budgets) {
    const auto groups = matching(known.of(b.by), b.glob);
    const bool all = groups.size() == known.of(b.by).size();
    const figures sum = sum_of(groups);
    for (const budget_limit &limit : b.limits) {
      const bounds today = measured_of(m, sum, limit.kind, all).value;
      for (const auto &[place, is_least] : limit.values)
        values.emplace_back(place, std::to_string(is_least ? today.least : today.most));
    }
  }
  return budget_replace(file.text, std::move(values));
}

std::vector<verdict> judge_growth(const model &m, naming &names, const model &old, naming &old_names,
                                  const std::string &old_path, const growth_limits &limits) {
  const auto allowed = [&](uint64_t before, bool bytes) {
    const auto share = static_cast<uint64_t>(std::floor(static_cast<double>(before) * limits.percent / 100));
    return before + std::max(share, bytes ? limits.bytes : 0);
  };
  std::vector<verdict> verdicts;
  const auto judge = [&](const std::string &subject, figure_kind kind, const measurement &now, uint64_t before) {
    const bool bytes = figure_is_bytes(kind);
    verdicts.push_back({subject, figure_name(kind), bytes, 0, allowed(before, bytes), now, 1, {}, old_path, 0});
  };
  const figures all = total_figures(m), all_before = total_figures(old);
  for (const figure_kind kind : {figure_kind::live, figure_kind::peak, figure_kind::allocations})
    if (kind != figure_kind::peak || (m.peak && old.peak))
      judge("all", kind, measured_of(m, all, kind, true), measured_of(old, all_before, kind, true).value.most);
  std::unordered_map<std::string, figures> before;
  for (const group &g : groups_of(old, old_names, group_by::function))
    before.emplace(g.name, g.sum);
  std::vector<group> groups = groups_of(m, names, group_by::function);
  groups_sort(groups, group_order::live);
  for (const group &g : groups)
    if (g.sum.memuse != 0)
      judge("function " + g.name, figure_kind::live, measured_part(m, g.sum, figure_kind::live), before[g.name].memuse);
  return verdicts;
}

std::string measurement_text(const measurement &measured) {
  const bounds &value = measured.value;
  return value.least != value.most ? fmt::format("{}..{}", value.least, value.most)
                                   : fmt::format("{}{}", measured.lower_bound ? ">= " : "", value.least);
}

std::string verdict_text(const verdict &v) {
  std::string wanted = v.least == v.most                 ? fmt::format("exactly {}", v.most)
                       : v.measured.value.most < v.least ? fmt::format("at least {}", v.least)
                                                         : fmt::format("at most {}", v.most);
  std::string text = fmt::format("{}: {} is {}, wanted {}", v.subject, v.figure, amount(v.measured, v.bytes), wanted);
  for (size_t i = 0; i < v.worst.size(); i++)
    text += (i == 0 ? " (" : ", ") + v.worst[i];
  return printable(text + (v.worst.empty() ? "" : ")"));
}

} // namespace m9::tool
