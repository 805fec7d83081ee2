// SPDX-License-Identifier: BSD-2-Clause
#include "core/decay.h"

#include <atomic>

#include "core/extent.h"
#include "core/heap.h"
#include "core/keg.h"
#include "core/large_cache.h"
#include "core/live_index.h"
#include "shim/pages.h"
#include "shim/system.h"

namespace m9 {
namespace {

std::atomic<uint32_t> decay_time{1000};        // ms (a) relaxed
std::atomic<int64_t> idle_slabs, idle_extents; // bytes (a) relaxed
std::atomic<uint64_t> grown;                   // bytes, not made up for yet (a) relaxed
std::atomic<uint32_t> last_tick, last_drain;   // decay_now() (a) relaxed

// Idle slabs are left alone up to so much, or a 64th of what was ever opened. Garbage collectors free tens of MiB in
// one go and want them again: node took 308 ms of CPU with 8 MiB, 252 with 32.
constexpr uint64_t idle_least = 32 * 1024 * 1024;
// What growth leaves alone: memory that may be wanted at once, and a small heap's.
constexpr uint64_t idle_kept = 1024 * 1024;
constexpr uint32_t settle_ms = 16;
constexpr uint64_t growth_step = 256 * 1024;

// Gives back all that a zone has and no program holds.
void zone_purge(verbs v, unsigned n) {
  keg &k = kegs[n];
  locked guard(k.lock);
  if (!k.ready)
    return;
  zone_drain(k, n, v);
  keg_purge_to(k, n, 0);
}

} // namespace

void decay_configure(uint32_t decay_ms) { decay_time.store(decay_ms, std::memory_order_relaxed); }
void decay_account(int64_t slab_bytes) { idle_slabs.fetch_add(slab_bytes, std::memory_order_relaxed); }
void decay_account_extents(int64_t bytes) { idle_extents.fetch_add(bytes, std::memory_order_relaxed); }

void decay_grew(uint64_t bytes) { grown.fetch_add(bytes, std::memory_order_relaxed); }

uint64_t decay_idle() {
  int64_t bytes = idle_slabs.load(std::memory_order_relaxed) + idle_extents.load(std::memory_order_relaxed) -
                  int64_t(extents_spare());
  return bytes > 0 ? uint64_t(bytes) : 0;
}

uint64_t decay_idle_extents() {
  int64_t bytes = idle_extents.load(std::memory_order_relaxed);
  return bytes > 0 ? uint64_t(bytes) : 0;
}

bool decay_over() {
  uint64_t part = pages_opened_bytes() / 64;
  return idle_slabs.load(std::memory_order_relaxed) > int64_t(part > idle_least ? part : idle_least);
}

uint32_t decay_now() { return uint32_t(clock_coarse_ms()); }

namespace {
// As much as has grown, of what has been idle for a moment.
void growth_make_up() {
  uint64_t want = grown.load(std::memory_order_relaxed);
  if (want < growth_step || !grown.compare_exchange_strong(want, 0, std::memory_order_relaxed))
    return;
  uint64_t idle = decay_idle();
  if (idle <= idle_kept)
    return;
  if (want > idle - idle_kept)
    want = idle - idle_kept;
  uint32_t before = decay_now() - settle_ms;
  for (unsigned n = 0; n < zones_all && want > 0; n++) {
    keg &k = kegs[n];
    if (k.slabs_idle == 0)
      continue;
    locked guard(k.lock);
    uint64_t given = keg_purge_old(k, n, before, want);
    want -= given < want ? given : want;
  }
  if (want == 0 || decay_idle_extents() <= extents_spare())
    return;
  locked guard(extents_lock);
  extents_purge_old(before, want);
}
} // namespace

void decay_tick() {
  growth_make_up();
  uint32_t now = decay_now(), last = last_tick.load(std::memory_order_relaxed);
  uint32_t age = decay_time.load(std::memory_order_relaxed);
  if (now - last < age / 8 + 1 || decay_idle() == 0)
    return;
  if (!last_tick.compare_exchange_strong(last, now, std::memory_order_relaxed))
    return;
  live_refresh();
  for (unsigned n = 0; n < zones_all; n++) {
    keg &k = kegs[n];
    if (k.slabs_idle == 0)
      continue;
    locked guard(k.lock);
    keg_purge_old(k, n, now - age, UINT64_MAX);
  }
  locked guard(extents_lock);
  // What CPUs keep is seen once per age, and old one age later.
  if (now - last_drain.load(std::memory_order_relaxed) >= age) {
    last_drain.store(now, std::memory_order_relaxed);
    large_caches_drain(heap_verbs());
  }
  extents_purge_old(now - age, UINT64_MAX);
}

bool decay_everything() {
  heap_enter();
  verbs v = heap_verbs();
  uint64_t before = pages_purged_bytes();
  for (unsigned n = 0; n < zones_all; n++)
    zone_purge(v, n);
  locked guard(extents_lock);
  large_caches_drain(v);
  extents_purge_to(0);
  return pages_purged_bytes() != before;
}

} // namespace m9
