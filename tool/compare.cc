// SPDX-License-Identifier: BSD-2-Clause
#include "tool/compare.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

namespace m9::tool {
namespace {

std::set<std::string> build_ids(const model &m) {
  std::set<std::string> ids;
  for (const model_module &module : m.modules)
    if (!module.build_id.empty())
      ids.insert(module.build_id);
  return ids;
}

class comparison {
public:
  comparison(const model &a, const model &b) {
    const auto first = build_ids(a), second = build_ids(b);
    std::set_intersection(first.begin(), first.end(), second.begin(), second.end(),
                          std::inserter(shared, shared.end()));
  }

  void add(const model &m, naming &names, group_by by, figures change::*side) {
    for (const uint32_t i : types_sorted(m)) {
      const model_type &type = m.types[i];
      const bool placed = by == group_by::type && type.offset != 0 && (type.flags & format::type_by_rule) == 0 &&
                          type.module < m.modules.size() && shared.contains(m.modules[type.module].build_id);
      const auto [at, is_new] =
          index.try_emplace(placed ? place_key(m, type) : name_key(m, names, type, by), changes.size());
      if (is_new) {
        changes.emplace_back();
        changes.back().name = shown_name(m, names, type, by, placed);
        changes.back().by_place = placed;
      }
      changes[at->second].*side += figures_of(m, type);
    }
  }

  std::vector<change> changes;

private:
  static std::string place_key(const model &m, const model_type &type) {
    return fmt::format("{} {:x} {}", m.modules[type.module].build_id, type.offset, type.flags);
  }

  static std::string shown_name(const model &m, naming &names, const model_type &type, group_by by, bool placed) {
    return group_name(m, names, type, by == group_by::type && !placed ? group_by::function : by);
  }

  static std::string name_key(const model &m, naming &names, const model_type &type, group_by by) {
    if (by != group_by::type)
      return group_name(m, names, type, by);
    return group_name(m, names, type, group_by::function) + "\n" + names.site_of(type).file;
  }

  std::set<std::string> shared;
  std::unordered_map<std::string, size_t> index;
};

} // namespace

std::vector<change> compare(const model &a, naming &a_names, const model &b, naming &b_names, group_by by) {
  comparison both(a, b);
  both.add(a, a_names, by, &change::before);
  both.add(b, b_names, by, &change::after);
  std::erase_if(both.changes, [](const change &c) { return !c.any(); });
  std::sort(both.changes.begin(), both.changes.end(), [](const change &x, const change &y) {
    if (std::abs(x.memuse()) != std::abs(y.memuse()))
      return std::abs(x.memuse()) > std::abs(y.memuse());
    if (std::abs(x.numallocs()) != std::abs(y.numallocs()))
      return std::abs(x.numallocs()) > std::abs(y.numallocs());
    return x.name < y.name;
  });
  return std::move(both.changes);
}

} // namespace m9::tool
