// SPDX-License-Identifier: BSD-2-Clause
//
// A zone: one size class of one domain as malloc and free see it. The fast paths read `zone` (one cache line that
// changes only when a slab is made); everything behind it is the keg's. The zones of a class are neighbours, and differ
// in their names and in the indices that are theirs only; a CPU allocates from the one that owns its cache. Each unit
// of a zone's addresses that has a slab has a copy of it, so that an address leads there. An item is named by its
// 32-bit index in the class, and they lie downwards:
//   item = base - index * size;   index = ((base - item) * reciprocal) >> 64
// and its stamp, tags[index], is 0 when it was never handed out, 2t + 1 while a program holds it and counts against
// cell t of its zone (its tag, 1..0x7fff), and 2t after it was freed. So a stamp of what is held, times 8, is where the
// frees of its cell are counted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/cache_layout.h"
#include "core/size_class.h"
#include "shim/percpu.h"

namespace m9 {

constexpr uint16_t tag_other = 1; // shared by all sites that came after the tags ran out
constexpr uint16_t stamp_held = 1;
constexpr uint16_t stamp_of(uint32_t tag) { return uint16_t(tag << 1 | stamp_held); }
constexpr uint16_t stamp_tag(uint16_t stamp) { return stamp >> 1; }

struct alignas(64) zone {
  uint64_t base;       // address of item 0, the highest (i)
  uint16_t *tags;      // stamps, by index (i)
  uint64_t reciprocal; // UINT64_MAX / size + 1: exact for indices below 2^32 and sizes up to 2^16 (i)
  uint64_t stride;     // from an item to the next: minus the bytes of one (i)
  uint32_t cache;      // offset in a per-CPU block: of the cache that the class allocates from (i)
  uint32_t cells;      // offset of tag 0's cell in a per-CPU block (i)
  uint64_t items;      // of a copy: indices below, if the unit's, have slabs and so a tag (z)
  uint16_t gap;        // sizes that belong here: more than size - gap, at most size (i)
  uint32_t homeward;   // offset: of the cache for what is freed by CPUs that allocate from another domain (i)
  const zone *self;    // of which this may be a copy (i)
};
static_assert(sizeof(zone) == 64);

constexpr unsigned zones_all = zone_count * domain_count;
constexpr unsigned zone_first(unsigned c) { return c * domain_count; } // of a class's, which are neighbours
constexpr unsigned zone_of(unsigned c, unsigned domain) { return zone_first(c) + domain_count - 1 - domain; }
constexpr unsigned zone_class(unsigned n) { return n / domain_count; }
constexpr unsigned zone_domain(unsigned n) { return domain_count - 1 - n % domain_count; }

constexpr int unit_shift = 19; // addresses of one zone, which have one copy of it
constexpr uint64_t unit_bytes = uint64_t{1} << unit_shift;

struct alignas(4096) zone_table {
  zone at[zones_all];
  char unused[tables_line * 64 + 8 - sizeof(zone) * zones_all % 4096];
  uint64_t base; // where zones begin (i)
  zone *units;   // by the number of the unit; all zero where it has no slab (z)
};
extern M9_HIDDEN zone_table zone_list;
inline constexpr zone (&zones)[zones_all] = zone_list.at;
inline uint64_t zone_owner(const zone &z) { return reinterpret_cast<uint64_t>(z.self); } // of caches

// The zone, as its unit has it, whose addresses hold the byte `at` bytes behind zone_list.base.
inline const zone &zone_of_offset(uint64_t at) {
  constexpr int shift = unit_shift - __builtin_ctz(sizeof(zone));
  auto address = reinterpret_cast<uintptr_t>(zone_list.units) + (at >> shift & ~uint64_t{sizeof(zone) - 1});
  return *reinterpret_cast<const zone *>(opaque(address)); // one register, not the sum again for each field
}

// Names the item that begins at p. False: none does, or its slab was never made. A multiple of the size leaves in the
// low half of the product less than the reciprocal, anything else at least that.
inline bool zone_index(const zone &z, const void *p, uint64_t &index) {
  auto product = __extension__(unsigned __int128)(z.base - reinterpret_cast<uint64_t>(p)) * z.reciprocal;
  index = uint64_t(product >> 64);
  return uint64_t(product) < z.reciprocal && index < z.items;
}

inline void stamp_set_freed(uint16_t *tags, uint64_t index) { tags[index] &= uint16_t(~stamp_held); }

inline unsigned zone_number(const zone &z) { return unsigned(z.self - zones); }
// Whether a program holds the item.
inline bool zone_holds([[maybe_unused]] const zone &z, [[maybe_unused]] uint64_t index) {
#if M9_COUNTING
  return z.tags[index] & stamp_held;
#else
  return true;
#endif
}
inline uint64_t zone_size(const zone &z) { return -z.stride; }
// Whether an item for `size` bytes is one of this zone.
inline bool zone_serves(const zone &z, size_t size) { return zone_size(z) - size < z.gap; }
inline uint64_t zone_cell(const zone &z, uint32_t tag) { return z.cells + uint64_t{tag} * 16; }

// Hands the item at `index` out.
inline void *zone_hand_out(const zone &z, uint64_t index, [[maybe_unused]] uint16_t stamp) {
#if M9_COUNTING
  z.tags[index] = stamp;
#endif
  return reinterpret_cast<void *>(z.base + index * z.stride);
}

} // namespace m9
