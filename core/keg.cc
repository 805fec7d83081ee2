// SPDX-License-Identifier: BSD-2-Clause
#include "core/keg.h"

#include "core/decay.h"
#include "core/layout.h"
#include "core/live_index.h"
#include "core/meta.h"
#include "core/peak.h"
#include "core/zone_plan.h"
#include "shim/pages.h"
#include "shim/panic.h"

namespace m9 {

constinit keg kegs[zones_all];

void keg_describe(unsigned n) {
  keg &k = kegs[n];
  k.slab_items = class_slab_items(zone_class(n));
  k.slab_shift = uint32_t(__builtin_ctz(k.slab_items));
  k.record_bytes = uint32_t((sizeof(slab) + 8 * slab_bitmap_words(k) + 63) / 64 * 64);
  slab_range slabs = plan.of_class[zone_class(n)].of[zone_domain(n)];
  k.near = zone_domain(n) == 0 ? near_slabs(zone_class(n)) : 0;
  k.first = slabs.from - k.near;
  k.slabs_most = slabs.until - k.first;
}

namespace {

constexpr uint32_t capacity_first = 64; // of the sets and the table

// Sets and a table with room for another slab, made from what the slabs say. What they replace stays where it is, for
// readers without lock.
bool sets_make(keg &k) M9_REQUIRES(k.lock) {
  uint64_t capacity = capacity_first;
  while (capacity <= k.slabs)
    capacity *= 2;
  if (capacity > k.slabs_most)
    capacity = k.slabs_most;
  void *available = meta_alloc(index_set::bytes_for(uint32_t(capacity)));
  void *dirty = meta_alloc(index_set::bytes_for(uint32_t(capacity)));
  auto **table = static_cast<slab **>(meta_alloc(capacity * sizeof(slab *)));
  if (!available || !dirty || !table)
    return false;
  if (k.table)
    __builtin_memcpy(table, k.table, k.slabs * sizeof(slab *));
  // The table first: it is never shorter than the sets, even where a fork cuts this off.
  std::atomic_ref(k.table).store(table, std::memory_order_release);
  k.available.init(available, uint32_t(capacity));
  k.dirty.init(dirty, uint32_t(capacity));
  for (uint32_t number = 0; number < k.slabs; number++) {
    const slab &s = *table[number];
    if (s.out < k.slab_items)
      k.available.insert(number);
    if (s.out == 0 && s.used)
      k.dirty.insert(number);
  }
  return true;
}

// The sets, the table and the bucket, at the first use of the zone.
bool keg_start(keg &k, unsigned n) M9_REQUIRES(k.lock) {
  keg_allow(k, n, 1);
  k.ready = k.bucket && sets_make(k);
  return k.ready;
}

slab *slab_make(keg &k, unsigned n) M9_REQUIRES(k.lock) {
  uint32_t number = k.slabs;
  if (number >= k.slabs_most || (number >= k.available.capacity() && !sets_make(k)))
    return nullptr;
  slab *&s = k.table[number]; // made before, where the kernel refused the rest
  if (!s)
    s = static_cast<slab *>(meta_alloc(k.record_bytes));
  if (!s || !layout_slab(n, number, *s))
    return nullptr;
  std::atomic_ref(k.slabs).store(number + 1, std::memory_order_release);
  k.available.insert(number);
  live_zone(zone_class(n));
  return s;
}

// The slab to take items from: the first that has any, so that live items gather in the first ones.
slab *keg_fetch_slab(keg &k, unsigned n) M9_REQUIRES(k.lock) {
  uint32_t number = k.available.first();
  slab *s = number == index_set::none ? slab_make(k, n) : keg_slab(k, number);
  if (s && !s->base && !layout_slab_back(n, *s)) // compact: its extent was given away
    return nullptr;
  k.exhausted = s == nullptr;
  return s;
}

// A fault per page costs far more than the page (with virtual machines, ten times), so a zone that grows takes pages
// from the kernel in steps: a sixteenth of what it has, which also bounds what it may take in vain. Items of several
// pages are often used in part only.
void slab_populate(const keg &k, slab &s, uint32_t items) M9_REQUIRES(k.lock) {
  constexpr size_t page = 4096, step_least = 2 * page, step_most = 256 * 1024, item_most = 8192;
  size_t size = class_size(zone_class(s.zone)), end = (items * size + page - 1) & ~(page - 1);
  if (end <= s.populated)
    return;
  size_t step = (k.items_out * size / 16) & ~(page - 1), to = s.populated + (step < step_most ? step : step_most);
  if (to > class_slab_bytes(zone_class(s.zone)))
    to = class_slab_bytes(zone_class(s.zone));
  if (to < end)
    to = end;
  if (step >= step_least && size <= item_most)
    pages_populate(reinterpret_cast<uintptr_t>(s.base) + s.populated, to - s.populated, true);
  s.populated = uint32_t(to);
}

// Takes up to n items out of a slab, those at the lowest addresses, and in such an order that the lowest is handed out
// first.
uint32_t slab_take(keg &k, slab &s, uint32_t *to, uint32_t n) M9_REQUIRES(k.lock) {
  uint32_t taken = 0;
  uint64_t in_slab = k.slab_items >= 64 ? ~uint64_t{0} : (uint64_t{1} << k.slab_items) - 1;
  for (size_t w = slab_bitmap_words(k); w-- > 0 && taken < n;)
    for (uint64_t left; taken < n && (left = ~s.bits[w] & in_slab) != 0;) {
      auto bit = uint32_t(63 - __builtin_clzll(left));
      s.bits[w] |= uint64_t{1} << bit;
      to[taken++] = (keg_slab_place(k, s.number) << k.slab_shift) + uint32_t(w) * 64 + bit;
    }
  slab_populate(k, s, k.slab_items - (to[taken - 1] & (k.slab_items - 1)));
  for (uint32_t i = 0, j = taken; i + 1 < j; i++) {
    uint32_t other = to[--j];
    to[j] = to[i];
    to[i] = other;
  }
  if (s.out == 0 && s.used) {
    k.dirty.remove(s.number);
    k.slabs_idle--;
    decay_account(-int64_t(class_slab_bytes(zone_class(s.zone))));
  }
  if (!s.used)
    decay_grew(class_slab_bytes(zone_class(s.zone)));
  s.used = true;
  s.out = uint16_t(s.out + taken);
  k.items_out += taken;
  peak_items(int64_t(taken * class_size(zone_class(s.zone))));
  if (s.out == k.slab_items)
    k.available.remove(s.number);
  return taken;
}

} // namespace

void keg_allow(keg &k, unsigned n, uint32_t least) {
  constexpr uint32_t first = 64; // most zones of most programs need no more
  uint32_t modest = cache_modest(zone_class(n));
  uint32_t allowed = least > modest ? cache_most(zone_class(n)) : least > first || modest < first ? modest : first;
  if (k.bucket_most >= allowed)
    return;
  auto *bucket = static_cast<uint32_t *>(meta_alloc((2 * size_t{allowed} + 1) * sizeof(uint32_t)));
  if (!bucket)
    return;
  if (k.bucket)
    __builtin_memcpy(bucket, k.bucket, k.bucket_count * sizeof *bucket);
  k.bucket = bucket;
  std::atomic_ref(k.bucket_most).store(allowed, std::memory_order_release); // never more than there is: keg_abandon
}

uint32_t keg_fill_bucket(keg &k, unsigned n, uint32_t want) {
  if (!k.ready && !keg_start(k, n))
    return 0;
  while (k.bucket_count < want) {
    slab *s = keg_fetch_slab(k, n);
    if (!s)
      break;
    k.bucket_count += slab_take(k, *s, k.bucket + k.bucket_count, want - k.bucket_count);
  }
  return k.bucket_count;
}

void keg_put(keg &k, unsigned n, const uint32_t *indices, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    slab &s = *keg_slab(k, keg_slab_number(k, indices[i]));
    uint32_t bit = indices[i] & (k.slab_items - 1);
    KASSERT((s.bits[bit / 64] >> (bit % 64)) & 1, "item returned to its slab twice");
    s.bits[bit / 64] &= ~(uint64_t{1} << (bit % 64));
    if (s.out == k.slab_items)
      k.available.insert(s.number);
    if (--s.out == 0) {
      s.emptied = decay_now();
      k.dirty.insert(s.number);
      k.slabs_idle++;
      decay_account(int64_t(class_slab_bytes(zone_class(n))));
    }
  }
  k.items_out -= count;
  peak_items(-int64_t(count * class_size(zone_class(n))));
}

void keg_trim_bucket(keg &k, unsigned n, uint32_t keep) {
  if (k.bucket_count <= keep)
    return;
  // The oldest go, the newest stay.
  uint32_t oldest = k.bucket_count - keep;
  keg_put(k, n, k.bucket, oldest);
  __builtin_memmove(k.bucket, k.bucket + oldest, keep * sizeof(uint32_t));
  k.bucket_count = keep;
}

namespace {
bool slab_purge(keg &k, unsigned n, uint32_t number) M9_REQUIRES(k.lock) {
  slab &s = *keg_slab(k, number);
  if (!layout_slab_purge(n, s))
    return false;
  k.dirty.remove(number);
  s.used = false;
  s.populated = 0;
  k.slabs_idle--;
  decay_account(-int64_t(class_slab_bytes(zone_class(n))));
  return true;
}
} // namespace

uint64_t keg_purge_old(keg &k, unsigned n, uint32_t before, uint64_t most) {
  uint64_t bytes = 0;
  for (uint32_t number = k.dirty.next(0); number != index_set::none && bytes < most; number = k.dirty.next(number + 1))
    if (int32_t(keg_slab(k, number)->emptied - before) <= 0) {
      if (!slab_purge(k, n, number))
        break;
      bytes += class_slab_bytes(zone_class(n));
    }
  return bytes;
}

void keg_purge_to(keg &k, unsigned n, uint64_t keep) {
  while (k.slabs_idle > keep)
    if (!slab_purge(k, n, k.dirty.last()))
      return;
}

void keg_abandon(keg &k, unsigned n) M9_UNCHECKED { // its owner does not exist here
  k.bucket_count = 0;
  uint64_t out = 0, idle = 0;
  for (uint32_t number = 0; number < k.slabs; number++) {
    slab &s = *keg_slab(k, number);
    uint32_t bits = 0;
    for (size_t w = 0; w < slab_bitmap_words(k); w++)
      bits += uint32_t(__builtin_popcountll(s.bits[w]));
    s.out = uint16_t(bits);
    out += bits;
    if (bits == 0 && layout_is_compact()) // its extent may be on its way, too
      layout_slab_forget(n, s);
    idle += bits == 0 && s.used;
  }
  decay_account((int64_t(idle) - int64_t(k.slabs_idle)) * int64_t(class_slab_bytes(zone_class(n))));
  k.slabs_idle = idle;
  k.items_out = out;
  if (k.ready)
    CHECK(sets_make(k), "no memory for a child made by clone");
}

} // namespace m9
