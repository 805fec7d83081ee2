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

// As zone_hand_out, in compact mode too.
void *zone_stamp(unsigned c, uint32_t index, uint16_t tag) {
  *layout_tag(c, index) = tag;
  return layout_item(c, index);
}

// One item for the caller and, for the CPU, half of what its cache may hold.
bool bucket_take(const zone &z, verbs v, uint32_t &index) {
  unsigned c = zone_number(z);
  keg &k = kegs[c];
  locked guard(k.lock);
  k.sleeps += guard.waited();
  uint32_t room = percpu_grow(v, z.cache, cache_first(c), z.cache_most);
  uint32_t want = room / 2 + 1;
  if (keg_fill_bucket(k, c, want) == 0) {
    k.fails++;
    return false;
  }
  index = k.bucket[--k.bucket_count];
  uint32_t n = k.bucket_count < want - 1 ? k.bucket_count : want - 1;
  if (n > 0)
    k.bucket_count -= percpu_push_many(v, z.cache, k.bucket + k.bucket_count - n, n);
  return true;
}

void bucket_put(const zone &z, verbs v, uint32_t index) {
  unsigned c = zone_number(z);
  keg &k = kegs[c];
  locked guard(k.lock);
  k.sleeps += guard.waited();
  uint32_t room = percpu_grow(v, z.cache, cache_first(c), z.cache_most);
  if (room && percpu_push_many(v, z.cache, &index, 1))
    return;
  if (room > 1)
    k.bucket_count += percpu_pop_many(v, z.cache, k.bucket + k.bucket_count, room / 2);
  k.bucket[k.bucket_count++] = index;
  if (layout_is_compact())
    keg_trim_bucket(k, c, 0);
  else if (k.bucket_count > bucket_most(c))
    keg_trim_bucket(k, c, bucket_most(c) / 2);
  if (decay_over())
    keg_purge_to(k, c, k.slabs_idle / 2);
}

} // namespace

void *malloc_refill(const zone &z, uint64_t cell) {
  unsigned c = zone_number(z);
  uint16_t tag = cell_tag(c, cell);
  verbs v = heap_verbs();
  int64_t popped = percpu_pop_and_count(v, z.cache, cell); // what the fast path did, by the verbs of this mode
  if (popped >= 0)
    return zone_stamp(c, uint32_t(popped), tag);
  uint32_t index = 0;
  if (v != verbs::none)
    cpu_ensure_open();
  // What other caches and idle slabs hold may be what is missing.
  if (!bucket_take(z, v, index) && (!decay_everything() || !bucket_take(z, v, index)))
    return nullptr;
  malloc_type_highuse(cell);
  decay_tick();
  percpu_add(v, cell, 1);
  return zone_stamp(c, index, tag);
}

void free_full(const zone &z, uint64_t index, uint64_t cell) {
  verbs v = heap_verbs();
  if (percpu_push_and_count(v, z.cache, index, cell))
    return;
  if (v != verbs::none)
    cpu_ensure_open();
  bucket_put(z, v, uint32_t(index));
  decay_tick();
  percpu_add(v, cell + 8, 1);
}

} // namespace m9
