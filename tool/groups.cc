// SPDX-License-Identifier: BSD-2-Clause
#include "tool/groups.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

namespace m9::tool {

figures &figures::operator+=(const figures &other) {
  const bool first = memalloced == 0, second = other.memalloced == 0;
  highuse = std::max({highuse, other.highuse, memuse + other.memuse});
  inuse += other.inuse;
  memuse += other.memuse;
  numallocs += other.numallocs;
  numfrees += other.numfrees;
  memalloced += other.memalloced;
  highuse_exact = (first && other.highuse_exact) || (second && highuse_exact) || highuse >= memalloced;
  return *this;
}

figures figures_of(const model &m, const model_type &type) {
  const counts total = type_total(type), done = operations(m, total, type_inherited(type));
  return {total.inuse(),
          total.memuse(),
          done.numallocs,
          done.numfrees,
          done.memalloced,
          type_highuse(type),
          type_highuse_is_exact(type)};
}

figures total_figures(const model &m) {
  figures sum;
  for (const uint32_t i : types_sorted(m))
    sum += figures_of(m, m.types[i]);
  return sum;
}

std::string group_name(const model &m, naming &names, const model_type &type, group_by by) {
  if (by == group_by::type)
    return names.shown(type);
  const named_site site = names.site_of(type);
  const bool has_module = type.module < m.modules.size();
  const std::string module = !site.module.empty() ? site.module : has_module ? m.modules[type.module].path : "";
  if (by == group_by::module)
    return module.empty() ? "(no module)" : module;
  if (by == group_by::file && !site.file.empty())
    return site.file;
  if (by == group_by::file)
    return module.empty() ? "(no source file)" : fmt::format("(no source file: {})", module);
  if (site.function.empty())
    return type.name;
  return module.empty() ? site.function : fmt::format("{}!{}", module, site.function);
}

std::vector<group> groups_of(const model &m, naming &names, group_by by) {
  std::vector<group> groups;
  std::unordered_map<std::string, size_t> index;
  for (const uint32_t i : types_sorted(m)) {
    std::string name = group_name(m, names, m.types[i], by);
    const auto [at, is_new] = index.try_emplace(std::move(name), groups.size());
    if (is_new)
      groups.push_back({at->first, {}, {}});
    groups[at->second].sum += figures_of(m, m.types[i]);
    groups[at->second].types.push_back(i);
  }
  return groups;
}

void groups_sort(std::vector<group> &groups, group_order order) {
  const auto weight = [order](const group &g) {
    switch (order) {
    case group_order::allocs:
      return g.sum.numallocs;
    case group_order::peak:
      return g.sum.highuse;
    case group_order::live:
      break;
    }
    return g.sum.memuse;
  };
  std::sort(groups.begin(), groups.end(), [&](const group &a, const group &b) {
    if (weight(a) != weight(b))
      return weight(a) > weight(b);
    if (a.sum.numallocs != b.sum.numallocs)
      return a.sum.numallocs > b.sum.numallocs;
    return a.name < b.name;
  });
}

double seconds_of(const model_head &head) {
  const uint64_t ns = head.time_ns > head.start_ns ? head.time_ns - head.start_ns : 1;
  return static_cast<double>(ns) / 1e9;
}

uint64_t rate_of(const model_head &head, uint64_t allocations) {
  return static_cast<uint64_t>(std::ceil(static_cast<double>(allocations) / seconds_of(head)));
}

group_by group_by_of(const std::string &word) {
  return word == "function" ? group_by::function
         : word == "file"   ? group_by::file
         : word == "module" ? group_by::module
                            : group_by::type;
}

naming_options naming_for(naming_options how, group_by by) {
  if (by == group_by::file)
    how.source = name_source::debug;
  return how;
}

} // namespace m9::tool
