// SPDX-License-Identifier: BSD-2-Clause
//
// Behind the caches of a zone: what happens when a CPU's cache is empty or full. Both take the keg's lock once, move
// half a cache between the CPU and the bucket, and let the cache grow, since it was too small.
#include "core/zone.h"

#include "core/cell.h"
#include "core/decay.h"
#include "core/heap.h"
#include "core/keg.h"
#include "core/layout.h"
#include "core/malloc.h"
#include "core/malloc_type.h"
#include "shim/panic.h"
#include "shim/process.h"

namespace m9 {
namespace {

void cpu_ensure_open() {
  int cpu = percpu_current();
  if (cpu < 0 || percpu_is_opened(cpu))
    return;
  locked guard(malloc_mtx);
  if (!percpu_is_opened(cpu))
    cell_open_cpu(cpu);
}

// The domain that this thread allocates from.
unsigned domain_here(verbs v) { return v == verbs::none ? 0 : percpu_domain(percpu_current()); }

// As zone_hand_out, in compact mode too.
void *zone_stamp(unsigned n, uint32_t index, uint16_t stamp) {
  *layout_tag(n, index) = stamp;
  return layout_item(n, index);
}

void bucket_bound(keg &k, unsigned n) M9_REQUIRES(k.lock) {
  KASSERT(k.bucket_count <= 2 * k.bucket_most + 1, "more items in a bucket than it has room for");
  if (layout_is_compact())
    keg_trim_bucket(k, n, 0);
  else if (k.bucket_count > k.bucket_most)
    keg_trim_bucket(k, n, k.bucket_most / 2);
}

// A CPU's cache of a class becomes that of the zone that the CPU's domain allocates from; what is in it goes home.
void cache_change_owner(unsigned c, int cpu, verbs v) M9_UNCHECKED {
  const zone &to = zones[zone_of(c, percpu_domain(cpu))];
  uint64_t owner = percpu_cache_owner(cpu, to.cache);
  if (owner == 0 || owner == zone_owner(to))
    return;
  unsigned from = zone_number(*reinterpret_cast<const zone *>(owner)), other = zone_number(to);
  locked first(kegs[from < other ? from : other].lock);
  locked_inside second(kegs[from < other ? other : from].lock);
  keg &k = kegs[from];
  keg_allow(kegs[other], other, k.bucket_most); // the cache stays as large
  if (percpu_cache_owner(cpu, to.cache) != owner || kegs[other].bucket_most < k.bucket_most)
    return;
  uint32_t n = 0;
  percpu_drain(v, cpu, to.cache, k.bucket + k.bucket_count, n, zone_owner(to));
  k.bucket_count += n;
  bucket_bound(k, from);
}

// Before the bucket of a class is used. Where two CPUs work with the same items, they are of different domains from
// then on, if they can be: all that they have is sorted out at once, since a cache that suits its thread never comes
// here again. A program with one thread moves between CPUs too, but never has two of them use neighbours at once.
void domains_settle(unsigned c, verbs v) {
  int cpu = percpu_current();
  if (cpu < 0 || !percpu_is_opened(cpu))
    return;
  int last = kegs[zone_of(c, percpu_domain(cpu))].last_cpu.exchange(cpu + 1, std::memory_order_relaxed);
  if (last != 0 && last != cpu + 1 && !process_single_threaded() && percpu_split_domains(v)) {
    for (int other = percpu_next_opened(-1); other >= 0; other = percpu_next_opened(other))
      for (unsigned all = 0; all < zone_count; all++)
        cache_change_owner(all, other, v);
  }
  cache_change_owner(c, cpu, v);
}

// Whether caches that hold so many may come to hold more.
bool cache_may_grow(const keg &k, unsigned n, uint32_t room) M9_REQUIRES(k.lock) {
  unsigned c = zone_class(n);
  return room < cache_modest(c) ||
         (room < cache_most(c) && zone_cached(n) + uint64_t{cache_share} * room <= k.items_out);
}

// Lets this CPU's cache grow, since it was too small; next time more, where that is all that the bucket has room for.
// The cache's capacity.
uint32_t cache_grow(const zone &z, verbs v, const uint32_t &cache, keg &k) M9_REQUIRES(k.lock) {
  unsigned n = zone_number(z);
  keg_allow(k, n, 1);
  uint32_t room = percpu_grow(v, cache, zone_owner(z), cache_first, k.bucket_most);
  if (room == k.bucket_most && cache_may_grow(k, n, room))
    keg_allow(k, n, room + 1);
  return room;
}

// How many items to move between a CPU that has room for so many and the bucket: twice as many as last time if that
// went the same way, at most half of the room; half as many if it went the other way. A program that allocates and
// frees a bit less than a cache holds then finds, after a few moves, a number of items with which it needs none.
uint32_t keg_batch(keg &k, uint32_t room, bool fill) M9_REQUIRES(k.lock) {
  constexpr uint32_t least = 16;
  uint32_t most = room / 2, batch = k.filled == fill ? k.batch * 2 : k.batch / 2;
  k.filled = fill;
  k.batch = batch < least ? least : batch;
  if (k.batch > most)
    k.batch = most;
  return k.batch;
}

// One item for the caller and a batch for the CPU.
bool bucket_take(const zone &z, verbs v, uint32_t &index) {
  unsigned n = zone_number(z);
  keg &k = kegs[n];
  locked guard(k.lock);
  k.sleeps += guard.waited();
  uint32_t room = cache_grow(z, v, z.cache, k);
  uint32_t want = keg_batch(k, room, true) + 1;
  if (keg_fill_bucket(k, n, want) == 0) {
    k.fails++;
    return false;
  }
  index = k.bucket[--k.bucket_count];
  uint32_t more = k.bucket_count < want - 1 ? k.bucket_count : want - 1;
  if (more > 0)
    k.bucket_count -= percpu_push_many(v, z.cache, zone_owner(z), k.bucket + k.bucket_count - more, more);
  return true;
}

// From the cache in which a CPU of the zone's domain frees, or one of another's: that one only ever gives back.
void bucket_put(const zone &z, verbs v, uint32_t index) {
  unsigned n = zone_number(z);
  keg &k = kegs[n];
  locked guard(k.lock);
  k.sleeps += guard.waited();
  bool at_home = domain_here(v) == zone_domain(n);
  const uint32_t &cache = at_home ? z.cache : z.homeward;
  uint32_t room = cache_grow(z, v, cache, k);
  if (room && percpu_push_many(v, cache, zone_owner(z), &index, 1))
    return;
  if (room > 1)
    k.bucket_count +=
        percpu_pop_many(v, cache, zone_owner(z), k.bucket + k.bucket_count, at_home ? keg_batch(k, room, false) : room);
  k.bucket[k.bucket_count++] = index;
  bucket_bound(k, n);
  if (decay_over())
    keg_purge_to(k, n, k.slabs_idle / 2);
}

} // namespace

void *malloc_refill(unsigned c, uint64_t cell) {
  uint16_t stamp = stamp_of(cell_tag(c, cell));
  verbs v = heap_verbs();
  uint64_t popped;
  if (percpu_pop_and_count(v, caches.at[c], cell, popped)) // as the fast path did, by this mode's verbs
    return zone_hand_out(zones[zone_of(c, 0)], popped, stamp);
  uint32_t index = 0;
  if (v != verbs::none) {
    cpu_ensure_open();
    domains_settle(c, v);
  }
  unsigned n = zone_of(c, domain_here(v));
  const zone &z = zones[n];
  // What other caches and idle slabs hold may be what is missing.
  if (!bucket_take(z, v, index) && (!decay_everything() || !bucket_take(z, v, index)))
    return nullptr;
  malloc_type_highuse(cell);
  decay_tick();
  percpu_add(v, cell, 1);
  return zone_stamp(n, index, stamp);
}

void free_full(const zone &z, uint64_t index, uint64_t cell) {
  verbs v = heap_verbs();
  if (percpu_push_and_count(v, z.cache, zone_owner(z), index, cell))
    return;
  // Not looked at before it may hold something: its page would be there then.
  if (domain_here(v) != zone_domain(zone_number(z)) && percpu_push_and_count(v, z.homeward, zone_owner(z), index, cell))
    return;
  if (v != verbs::none) {
    cpu_ensure_open();
    domains_settle(zone_class(zone_number(z)), v);
  }
  bucket_put(z, v, uint32_t(index));
  decay_tick();
  percpu_add(v, cell + 8, 1);
}

namespace {
// Whether a CPU's cache holds items of a zone. Homeward ones are not looked at before there can be any in them: their
// pages would be there then.
bool cache_is_of(int cpu, uint32_t cache, const zone &z) {
  return (cache == z.cache || percpu_has_domains()) && percpu_cache_owner(cpu, cache) == zone_owner(z);
}
} // namespace

void zone_drain(keg &k, unsigned n, verbs v) {
  keg_trim_bucket(k, n, 0);
  for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
    for (uint32_t cache : {zones[n].cache, zones[n].homeward}) {
      if (!cache_is_of(cpu, cache, zones[n]))
        continue;
      percpu_drain(v, cpu, cache, k.bucket, k.bucket_count, 0);
      keg_trim_bucket(k, n, 0);
    }
}

uint64_t zone_cached(unsigned n) {
  if (std::atomic_ref(kegs[n].slabs).load(std::memory_order_relaxed) == 0)
    return 0; // so of what is not in use no page is brought in
  uint64_t items = kegs[n].bucket_count;
  for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
    for (uint32_t cache : {zones[n].cache, zones[n].homeward})
      if (cache_is_of(cpu, cache, zones[n]))
        items += percpu_cache_count(cpu, cache);
  return items;
}

} // namespace m9
