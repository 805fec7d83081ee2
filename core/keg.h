// SPDX-License-Identifier: BSD-2-Clause
//
// The keg behind a zone: slabs cut into items, and the bucket of free items that CPUs fill from and empty into.
// A slab's record (free bitmap, counts) lies outside of the slab. Index of an item = place * items + bit, where the
// place of a slab is its number in the class's nursery, and `first` plus its number beyond (core/zone_plan.h).
//
// Invariants, under the lock:
//   bit set <=> the item is out of the keg (with a program, in a CPU's cache or in the bucket)
//   slab.out == number of bits set;   k.items_out == sum of slab.out
//   slab in `available` <=> slab.out < k.slab_items
//   slab in `dirty` <=> slab.out == 0 and its pages may hold memory
//   no CPU's cache of the zone holds more than bucket_most, and the bucket has room for twice as many and one: what it
//   keeps, a whole cache, and the item that did not fit into that
// In compact mode slabs are extents found on demand, so `slab.base` says where they are; else they follow each other
// downwards. The sets and the table start small and double: most zones of most programs have a handful of slabs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/index_set.h"
#include "core/zone.h"
#include "shim/lock.h"

namespace m9 {

struct slab {
  uint8_t *base;      // its lowest address: of the item of the highest index (i)
  uint16_t *tags;     // stamp of item 0 (i)
  uint32_t number;    // (i)
  uint16_t out;       // items out of the keg (z)
  bool used;          // false: never used, or given back: the pages are zero (z)
  uint8_t zone;       // (i)
  uint32_t emptied;   // coarse time at which it became empty, ms (z)
  uint32_t populated; // bytes of it that were brought in, or taken from (z)
  uint64_t bits[];    // (z)
};
static_assert(sizeof(slab) == 32);

// Address space that is opened from one end as it is needed; all page-aligned but the start.
struct area {
  uintptr_t start; // of what lies in it (i)
  uintptr_t edge;  // the end that is opened first (i)
  size_t open;     // bytes that are open (z)
  size_t most;     // (i)
  bool down;       // the edge is the upper end (i)
  bool dumped;     // core dumps have it, once it is open (i)
};

struct keg {
  mutex lock{lock_rank::zone};
  bool ready = false;             // (z) areas and sets exist
  bool exhausted = false;         // (z) the kernel refused memory; cleared by the next success
  bool filled = false;            // (z) the last move between a CPU and the bucket was to the CPU
  uint32_t batch = 0;             // items that this move was to have (z)
  uint32_t slab_items = 0;        // a power of two (i)
  uint32_t slab_shift = 0;        // log2 of it (i)
  uint32_t record_bytes = 0;      // of a slab's record (i)
  uint32_t slabs = 0;             // slabs made so far; numbers below exist (z)
  uint32_t slabs_most = 0;        // that fit the address range (i)
  uint32_t near = 0, first = 0;   // slabs in the nursery; what is added to the numbers of others (i)
  uint32_t bucket_count = 0;      // (z)
  uint32_t bucket_most = 0;       // that are kept in it, and that a CPU's cache may grow to (z) // uz_bucket_size
  std::atomic<int> last_cpu = 0;  // that used the bucket, plus one; 0: none (a) relaxed
  uint32_t *bucket = nullptr;     // free items, the newest last (z) // uz_domain's bucket list
  uint64_t items_out = 0;         // (z)
  uint64_t slabs_idle = 0;        // members of `dirty` (z)
  index_set available;            // (z)
  index_set dirty;                // (z)
  uint64_t fails = 0, sleeps = 0; // (z)
  slab **table = nullptr;         // the records, by number; as long as the sets (z)
  // What grows with the number of slabs, and how much of each is open: of the nursery, and beyond it. Compact mode has
  // none.
  area nursery = {}, items = {}, tags = {}, units = {};
};

extern keg kegs[zones_all]; // one per zone

inline size_t slab_bitmap_words(const keg &k) { return (k.slab_items + 63) / 64; }

// The record of a slab; `number` < k.slabs. Without the lock, too: an older table holds the same records.
inline slab *keg_slab(const keg &k, uint32_t number) { return k.table[number]; }
inline uint32_t keg_slab_place(const keg &k, uint32_t number) { return number < k.near ? number : k.first + number; }
// The number of what is there; slabs_most or more where none ever is.
inline uint32_t keg_slab_at(const keg &k, uint32_t place) {
  return place < k.near ? place : place - k.first < k.near ? UINT32_MAX : place - k.first;
}
inline uint32_t keg_slab_number(const keg &k, uint32_t index) { return keg_slab_at(k, index >> k.slab_shift); }

// Lets the bucket keep, and a CPU's cache hold, at least so many items, up to the class's limit; unless there is no
// memory.
void keg_allow(keg &k, unsigned n, uint32_t least) M9_REQUIRES(k.lock);
// Makes sure that the bucket holds at least `want` items, as far as memory allows; returns how many it holds.
uint32_t keg_fill_bucket(keg &k, unsigned n, uint32_t want) M9_REQUIRES(k.lock);
// Puts items back into their slabs.
void keg_put(keg &k, unsigned n, const uint32_t *indices, uint32_t count) M9_REQUIRES(k.lock);
// Empties the bucket into the slabs, down to `keep` items.
void keg_trim_bucket(keg &k, unsigned n, uint32_t keep) M9_REQUIRES(k.lock);
// Gives back the pages of idle slabs: those that became empty at or before `before` (ms, as decay_now), until `most`
// bytes are given, which it returns; or the highest until at most `keep` are left.
uint64_t keg_purge_old(keg &k, unsigned n, uint32_t before, uint64_t most) M9_REQUIRES(k.lock);
void keg_purge_to(keg &k, unsigned n, uint64_t keep) M9_REQUIRES(k.lock);

// Once, with sizes only; addresses come from layout.cc.
void keg_describe(unsigned n);

// What CPUs hold of a zone, and the bucket, go into its slabs.
void zone_drain(keg &k, unsigned n, verbs v) M9_REQUIRES(k.lock);
// How many items these hold; exact only under the lock, and while nobody uses them.
uint64_t zone_cached(unsigned n);

// After a fork that left the lock held by a thread that does not exist here: makes anew, from the slabs' bitmaps, what
// may be half changed. Items that were on their way, and those in the bucket, are lost.
void keg_abandon(keg &k, unsigned n);

} // namespace m9
