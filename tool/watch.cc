// SPDX-License-Identifier: BSD-2-Clause
#include "tool/watch.h"

#include <fmt/format.h>

#include "tool/dump_file.h"

namespace m9::tool {
namespace {

// Per second; what is below 0 was another process's, or merged anew.
double rate(uint64_t now, uint64_t then, double seconds) {
  return now > then && seconds > 0 ? static_cast<double>(now - then) / seconds : 0;
}

} // namespace

std::string type_identity(const model &m, const model_type &type) {
  return type_identity(type.name, type.module < m.modules.size() ? m.modules[type.module].path : "", type.offset);
}

std::string type_identity(const std::string &name, const std::string &module_path, uint64_t offset) {
  return fmt::format("{}\n{}\n{:x}", name, module_path, offset);
}

void watch::look() {
  model now = model_of(dump_load(target).view);
  const clock::time_point at = clock::now();
  const bool same = count != 0 && now.pid == seen.pid && now.start_ns == seen.start_ns;
  seconds = same ? std::chrono::duration<double>(at - when).count() : 0;
  std::unordered_map<std::string, counts> sums;
  std::vector<watched_type> types;
  for (const uint32_t i : types_sorted(now)) {
    const model_type &type = now.types[i];
    watched_type w;
    w.index = i;
    w.total = type_total(type);
    w.done = operations(now, w.total, type_inherited(type));
    w.high = type_highuse(type);
    w.high_exact = type_highuse_is_exact(type);
    const std::string identity = type_identity(now, type);
    sums[identity] += w.total;
    if (same) {
      const auto old = before.find(identity);
      const counts then = old != before.end() ? old->second : counts();
      w.allocs_rate = rate(w.total.numallocs, then.numallocs, seconds);
      w.frees_rate = rate(w.total.numfrees, then.numfrees, seconds);
      w.growth_rate = rate(w.total.memuse(), then.memuse(), seconds) - rate(then.memuse(), w.total.memuse(), seconds);
    }
    types.push_back(w);
  }
  before = std::move(sums);
  seen = std::move(now);
  watched = std::move(types);
  when = at;
  count++;
}

} // namespace m9::tool
