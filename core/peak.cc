// SPDX-License-Identifier: BSD-2-Clause
#include "core/peak.h"

#include <atomic>

#include "core/decay.h"
#include "core/keg.h"
#include "core/live_index.h"
#include "core/zone.h"

namespace m9 {
namespace {

// All (a) relaxed: nothing else depends on their order.
std::atomic<int64_t> items_out, large_out;
std::atomic<uint64_t> large_dirty;   // free extents, of what decay_idle_extents() says
std::atomic<uint64_t> most;          // the highest sum of the first two
std::atomic<uint64_t> looked, least; // its value when caches were last added up, and what programs held then

uint64_t held_back() {
  // Large blocks become kept ones, and back, without passing here.
  uint64_t idle = decay_idle_extents(), dirty = large_dirty.load(std::memory_order_relaxed);
  uint64_t held = idle > dirty ? idle - dirty : 0;
  for (unsigned n = 0; n < zones_all; n++)
    held += zone_cached(n) * class_size(zone_class(n));
  return held;
}

void raise(std::atomic<uint64_t> &to, uint64_t value) {
  uint64_t before = to.load(std::memory_order_relaxed);
  while (before < value && !to.compare_exchange_weak(before, value, std::memory_order_relaxed)) {
  }
}

void note() {
  int64_t sum = items_out.load(std::memory_order_relaxed) + large_out.load(std::memory_order_relaxed);
  uint64_t now = sum > 0 ? uint64_t(sum) : 0;
  if (now <= most.load(std::memory_order_relaxed))
    return;
  raise(most, now);
  uint64_t before = looked.load(std::memory_order_relaxed);
  if (now - before > 65536 + before / 64 || before == 0) {
    looked.store(now, std::memory_order_relaxed);
    uint64_t held = held_back();
    raise(least, now > held ? now - held : 0);
  }
  peak_bounds p = peak_read();
  live_peak(p.most, p.slack);
}

} // namespace

void peak_items(int64_t bytes) {
  items_out.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes > 0)
    note();
}

void peak_extents() {
  extent_totals t = extents_totals();
  large_out.store(int64_t(t.live + t.cached), std::memory_order_relaxed);
  large_dirty.store(t.dirty, std::memory_order_relaxed);
  note();
}

peak_bounds peak_read() {
  uint64_t m = most.load(std::memory_order_relaxed), l = least.load(std::memory_order_relaxed);
  return {m, m > l ? m - l : 0};
}

} // namespace m9
