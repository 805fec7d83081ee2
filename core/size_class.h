// SPDX-License-Identifier: BSD-2-Clause
//
// Size classes: 16 to 128 by 16, then four per doubling up to 65,536 (FreeBSD's kmem_zmax). A size is odd * 2^k with
// odd <= 7; a slab is odd * 64 KiB, so no item straddles two slabs and the items of a slab are a power of two.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

constexpr unsigned zone_count = 44;
constexpr unsigned large_zone = zone_count; // number under which large allocations are counted
constexpr size_t zone_size_max = 65536;
constexpr size_t small_size_max = 1024; // sizes up to here are classed by table

constexpr size_t class_size(unsigned c) {
  if (c < 8)
    return (c + 1) * 16;
  unsigned doubling = (c - 8) / 4, quarter = (c - 8) % 4;
  return (size_t{128} << doubling) / 4 * (5 + quarter);
}
static_assert(class_size(7) == 128 && class_size(8) == 160 && class_size(19) == 1024);
static_assert(class_size(zone_count - 1) == zone_size_max);

// Class of a size from 129 to zone_size_max.
constexpr unsigned class_of_medium(size_t size) {
  auto log = unsigned(63 - __builtin_clzll(size - 1)); // >= 7
  return 8 + (log - 7) * 4 + unsigned(((size - 1) >> (log - 2)) & 3);
}

// Class of a size up to zone_size_max; 0 counts as 1.
constexpr unsigned class_of(size_t size) {
  return size <= 128 ? (size == 0 ? 0 : unsigned((size - 1) / 16)) : class_of_medium(size);
}
static_assert(class_of(128) == 7 && class_of(129) == 8 && class_of(1024) == 19 && class_of(1025) == 20);
static_assert(class_of(65536) == 43 && class_of(57345) == 43 && class_of(57344) == 42);

struct class_table {
  uint8_t of_16[small_size_max / 16 + 1];
};
constexpr class_table class_table_make() {
  class_table t{};
  for (unsigned i = 0; i <= small_size_max / 16; i++)
    t.of_16[i] = uint8_t(class_of(size_t{i} * 16));
  return t;
}
inline constexpr class_table small_classes = class_table_make();

constexpr unsigned class_odd(unsigned c) { return unsigned(class_size(c) >> __builtin_ctzll(class_size(c))); }
constexpr size_t class_slab_bytes(unsigned c) { return size_t{class_odd(c)} * 65536; }
constexpr unsigned class_slab_items(unsigned c) { return unsigned(class_slab_bytes(c) / class_size(c)); }
static_assert((class_slab_items(3) & (class_slab_items(3) - 1)) == 0 && class_slab_items(zone_count - 1) == 1);

// Smallest class of at least `size` bytes whose items are all aligned to `alignment` (a power of two up to
// zone_size_max); zone_count when there is none.
constexpr unsigned class_of_aligned(size_t size, size_t alignment) {
  if (size > zone_size_max || alignment > zone_size_max)
    return zone_count;
  for (unsigned c = class_of(size); c < zone_count; c++)
    if (class_size(c) % alignment == 0)
      return c;
  return zone_count;
}

} // namespace m9
