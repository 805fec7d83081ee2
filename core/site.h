// SPDX-License-Identifier: BSD-2-Clause
//
// The call-site table: (return address, size class) -> cell and tag. A cache of what the types know, in two levels: a
// small direct table of fixed place and size, which the fast path reads without any load but the entry's, and behind it
// an open hash that has room for all. Entries are published by their key, and for one key mean the same while they
// stand; a hash that fills is replaced by a larger one and stays readable.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/malloc_type.h"
#include "core/zone.h"
#include "shim/call_frame.h"
#include "shim/percpu_layout.h"

namespace m9 {

struct site {
  uint64_t key;   // return address + zone_key; 0: free. Written last (t), of the direct table (a)
  uint64_t place; // stamp << 32 | cell, and place_ends once that is known
};
constexpr uint64_t place_ends = uint64_t{1} << 60; // of a return address in no wrapper: every walk ends there
// With this in the key, an entry of the direct table is a step: the return address lies in a wrapper, a caller of which
// was in none. The place says where the caller's return address stands: so many bytes above the canonical frame
// address, or above rbp.
constexpr uint64_t key_one_up = uint64_t{1} << 63;
constexpr uint64_t one_up_by_rbp = 1; // the rest is a multiple of 8
constexpr uint64_t no_step = ~uint64_t{0};
constexpr uintptr_t step_most = 65536; // bytes that one step may go up
constexpr int site_shift = 4;
static_assert(sizeof(site) == 1 << site_shift); // masks count in bytes

constexpr uint32_t place_cell(uint64_t place) { return uint32_t(place); }
constexpr uint16_t place_stamp(uint64_t place) { return uint16_t(place >> 32); }
constexpr uint64_t place_of(uint16_t tag, uint64_t cell) { return uint64_t{stamp_of(tag)} << 32 | cell; }
// The same of an entry, as two loads: the fast path has no use for the rest.
inline uint32_t site_cell(const site &s) {
  uint32_t cell;
  __builtin_memcpy(&cell, &s.place, sizeof cell);
  return cell;
}
inline uint16_t site_stamp(const site &s) {
  uint16_t stamp;
  __builtin_memcpy(&stamp, reinterpret_cast<const char *>(&s.place) + 4, sizeof stamp);
  return stamp;
}

// A key is the return address plus what the zone adds to it: its number, above the bits that addresses have, and the
// offset of its cache, which both the fast path and the slots of the direct table are taken from: bits 4 to 15 choose.
// Calls of malloc rarely lie within 16 bytes, and the offsets of no two zones agree in those bits.
constexpr uint64_t zone_key_of(unsigned c) { return uint64_t{c} << 48 | (c < zone_count ? caches.at[c] : 0); }
constexpr uint32_t zone_key_cache(uint64_t zone_key) { return uint32_t(zone_key); }
constexpr unsigned zone_key_class(uint64_t zone_key) { return unsigned(zone_key >> 48); }
// The first domain's: all zones of a class say the same of an index.
inline const zone &zone_key_zone(uint64_t zone_key) {
  constexpr int shift = 48 - __builtin_ctz(sizeof(zone) * domain_count);
  return *reinterpret_cast<const zone *>(reinterpret_cast<uintptr_t>(zones + zone_of(0, 0)) + (zone_key >> shift));
}

// By class, the large zone included.
struct zone_key_table {
  uint64_t of_class[zone_count + 1];
};
constexpr zone_key_table zone_key_table_make() {
  zone_key_table t{};
  for (unsigned c = 0; c <= zone_count; c++)
    t.of_class[c] = zone_key_of(c);
  return t;
}
inline constexpr zone_key_table zone_keys = zone_key_table_make();

// What malloc looks up, together, so that one address leads to all: a size's part of a key and its zone, and the direct
// table.
struct sized {
  uint64_t zone_key;
  const zone *items;
};
constexpr uint64_t sites_direct_count = 4096;
struct alignas(4096) lookup_tables {
  site direct[sites_direct_count];
  char unused[0x908]; // entries at other page offsets than the items of their sizes (shim/percpu_layout.h, lines)
  sized of_16[small_size_max / 16 + 1]; // by (size + 15) / 16, for sizes up to small_size_max (b)
  sized of_class[zone_count];           // (b)
};
extern M9_HIDDEN lookup_tables lookups;
void lookups_start(); // once, before the fast paths are on

// By the size's offset in the table, which is the size rounded up.
inline const sized &sized_of(const lookup_tables &tables, size_t size) {
  static_assert(sizeof(sized) == 16);
  return *reinterpret_cast<const sized *>(reinterpret_cast<uintptr_t>(tables.of_16) + ((size + 15) & ~size_t{15}));
}
inline site &site_direct(lookup_tables &tables, uint64_t key) {
  constexpr uint64_t mask = (sites_direct_count - 1) << site_shift;
  return *reinterpret_cast<site *>(reinterpret_cast<uintptr_t>(tables.direct) + (key & mask));
}
inline site &site_direct(uint64_t key) { return site_direct(lookups, key); }

// `mask` is stored after `base`, and never shrinks: a reader that sees the new mask sees the new base.
struct site_table {
  std::atomic<uint64_t> base; // address of the entries
  std::atomic<uint64_t> mask; // (entries - 1) * sizeof(site)
};
extern M9_HIDDEN site_table sites;

// The multiplication carries upwards only, and the zone is above all else: so it is brought down first.
inline uint64_t site_hash(uint64_t key) { return ((key ^ key >> 42) * 0x9E3779B97F4A7C15u) >> 32; }
// An entry stands at the first place from there on that was free, and no free place is left between: so a search ends
// at one. With so many places tried, a table is half full before a key finds none.
constexpr unsigned site_probes = 64;
inline site &site_probe(uint64_t base, uint64_t mask, uint64_t key, unsigned probe) {
  return *reinterpret_cast<site *>(base + ((site_hash(key) + probe * sizeof(site)) & mask));
}

// The place of a key that the hash knows, else 0. An entry that is moved meanwhile may be missed; what stands where it
// was is not taken for it.
inline uint64_t site_look_up(uint64_t key) {
  uint64_t mask = sites.mask.load(std::memory_order_acquire); // pairs with table_grow
  uint64_t base = sites.base.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < site_probes; i++) {
    site &s = site_probe(base, mask, key, i);
    uint64_t has = std::atomic_ref(s.key).load(std::memory_order_acquire); // pairs with site_write
    if (has == key) {
      uint64_t place = std::atomic_ref(s.place).load(std::memory_order_acquire); // pairs with site_write
      return std::atomic_ref(s.key).load(std::memory_order_relaxed) == key ? place : 0;
    }
    if (has == 0)
      break;
  }
  return 0;
}

// A site's other slot, where that of its own is another's; only who comes by a step looks there.
inline site &site_beside(site &s) { return *reinterpret_cast<site *>(reinterpret_cast<uintptr_t>(&s) ^ sizeof(site)); }

// The site of a call that is one step above its wrapper, where both have slots in the direct table; else nullptr. Calls
// nothing. `key` and `step`: of the call of malloc, and its slot.
[[gnu::always_inline]] inline const site *site_one_up(call_frame f, uint64_t zone_key, const site &step, uint64_t key) {
  if (step.key != (key | key_one_up))
    return nullptr;
  lookup_tables &tables = *reinterpret_cast<lookup_tables *>(opaque(reinterpret_cast<uintptr_t>(&lookups)));
  uintptr_t at = f.cfa + step.place;
  if (step.place & one_up_by_rbp) {
    at = f.rbp + step.place - one_up_by_rbp;
    if (((at - f.cfa) & ~uintptr_t{step_most - 8}) != 0) [[unlikely]]
      return nullptr;
  }
  if (!stack_known(at, f.cfa)) [[unlikely]]
    return nullptr;
  key = *reinterpret_cast<const uintptr_t *>(at) + zone_key;
  site &s = site_direct(tables, key);
  if (s.key == key) [[likely]]
    return &s;
  const site &beside = site_beside(s);
  return beside.key == key ? &beside : nullptr;
}

inline const site *site_one_up(call_frame f, uint64_t zone_key) {
  uint64_t key = f.caller() + zone_key;
  return site_one_up(f, zone_key, site_direct(key), key);
}

// The place of a call that is in no wrapper, and whose slot of the direct table is another's; else 0. Calls nothing.
[[gnu::always_inline]] inline uint64_t site_displaced(call_frame f, uint64_t zone_key) {
  uint64_t key = f.caller() + zone_key;
  if (std::atomic_ref(site_direct(key).key).load(std::memory_order_relaxed) == 0)
    return 0; // if it is one, it gets the slot
  uint64_t place = site_look_up(key);
  return place & place_ends ? place : 0;
}

// For slow paths: looks, and makes the type, the cell and the entry when the site is new. 0: no memory at all.
uint64_t site_find(call_frame frame, unsigned zone);

// Gives a site that allocates again a slot of the direct table; `step`: what the entry of a wrapper, one step below, is
// to say, or no_step; `generation`: what walk_generation() said before this was found. Locks nothing. False: the slots
// are taken, or it is not true any more.
bool site_promote(uintptr_t wrapper, uint64_t step, uintptr_t caller, uint64_t zone_key, uint64_t place,
                  uint32_t generation);

// Adds an entry, or replaces its place; `direct`: adds one to the direct table too, where its slot is free.
void site_insert(uint64_t key, uint64_t place, bool direct) M9_REQUIRES(malloc_mtx);

bool sites_start();
// Drops the entries of types whose module is gone.
void sites_forget_gone() M9_REQUIRES(malloc_mtx);
void sites_forget_all() M9_REQUIRES(malloc_mtx);

} // namespace m9
