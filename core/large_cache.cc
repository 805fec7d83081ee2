// SPDX-License-Identifier: BSD-2-Clause
#include "core/large_cache.h"

#include "core/decay.h"
#include "core/layout.h"
#include "core/page_map.h"

namespace m9 {
namespace {

struct offsets {
  uint32_t at[large_classes]; // verbs want each in memory
};
constexpr offsets offsets_make() {
  offsets t{};
  for (unsigned i = 0; i < large_classes; i++)
    t.at[i] = caches.at[zone_count] + i * large_cache_bytes + uint32_t(cache_owner_bytes);
  return t;
}
constexpr offsets large_caches = offsets_make();

// So many classes up a block may be that serves a request: a program of many sizes then keeps a third fewer. What they
// have to spare stays in place as long as they live, so it is bounded.
constexpr unsigned classes_up = 2;
constexpr uint64_t spare_most = 16 * 1024 * 1024;

// How many blocks of these bytes a CPU may keep: at most 16 MiB, but two.
uint32_t most_of(size_t bytes) {
  size_t n = 16 * 1024 * 1024 / bytes;
  return n > large_cache_items ? large_cache_items : n < 2 ? 2 : uint32_t(n);
}

// The cache for blocks of exactly these bytes, or nullptr.
const uint32_t *cache_of(size_t bytes) {
  if (bytes <= zone_size_max || bytes > large_class_most || layout_is_compact() || large_bytes(bytes) != bytes)
    return nullptr;
  return &large_caches.at[class_of_medium(bytes) - zone_count];
}

} // namespace

size_t large_bytes(size_t size) {
  size_t page = size_t{1} << page_map_page_shift();
  if (size > zone_size_max && size <= large_class_most && !layout_is_compact())
    size = class_size(class_of_medium(size));
  return (size + page - 1) & ~(page - 1);
}

extent *large_cache_take(verbs v, size_t bytes) {
  const uint32_t *cache = cache_of(bytes);
  if (!cache)
    return nullptr;
  auto first = unsigned(cache - large_caches.at), last = first + (extents_spare() < spare_most ? classes_up : 0);
  uint32_t number = 0;
  for (unsigned i = first; i <= last && i < large_classes; i++)
    if (percpu_pop_many(v, large_caches.at[i], 0, &number, 1))
      return extent_of_number(number);
  return nullptr;
}

bool large_cache_put(verbs v, extent *e) {
  size_t bytes = extent_bytes(*e);
  const uint32_t *cache = cache_of(bytes);
  uint32_t number = 0;
  if (!cache || e->moved || decay_idle_extents() + bytes > extents_idle_limit() || !extent_number(*e, number))
    return false;
  decay_account_extents(int64_t(bytes)); // before another CPU may take it
  if (percpu_push_many(v, *cache, 0, &number, 1) ||
      (percpu_grow(v, *cache, 0, 2, most_of(bytes)) && percpu_push_many(v, *cache, 0, &number, 1)))
    return true;
  decay_account_extents(-int64_t(bytes));
  return false;
}

void large_caches_drain(verbs v) {
  uint32_t numbers[large_cache_items];
  for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
    for (uint32_t cache : large_caches.at) {
      uint32_t n = 0;
      for (percpu_drain(v, cpu, cache, numbers, n, 0); n-- > 0;) {
        extent *e = extent_of_number(numbers[n]);
        decay_account_extents(-int64_t(extent_bytes(*e)));
        extent_give(e);
      }
    }
}

} // namespace m9
