// SPDX-License-Identifier: BSD-2-Clause
//
// How many items a CPU may keep of each class, and where in its block the array of each lies.
//
// A cache that is full or empty costs its keg's lock, and that two system calls, so bursts want deep caches; a CPU that
// runs briefly wants few pages touched. Eight classes, the smallest, are deep: each array begins near the end of a page
// and goes on over the next, which is touched only once the cache has grown that far. All other arrays lie whole in
// front of these beginnings, so that nine pages hold the first items of every class.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/size_class.h"
#include "shim/percpu_layout.h"

namespace m9 {

constexpr unsigned deep_classes = 8, deep_line = 50; // the deep array of class c begins at line deep_line + c of a page

constexpr uint32_t lines_items(unsigned lines) {
  return uint32_t((lines * 64 - cache_owner_bytes - cache_items_offset) / sizeof(uint32_t));
}

// So many bytes of items, at most 380 of them; in whole lines where that makes no difference.
constexpr uint32_t bytes_items(unsigned c, size_t bytes) {
  size_t n = bytes / class_size(c);
  return n > 380 ? 380 : n < 12 ? uint32_t(n) : uint32_t(n + 4) / 16 * 16 - 4;
}
// Deep classes: to the end of the page after the first. Others: 256 KiB, or 1 MiB of items that are larger than a page,
// as few of those are moved at once.
constexpr uint32_t cache_most(unsigned c) {
  return c < deep_classes ? lines_items(2 * 64 - deep_line - c)
                          : bytes_items(c, class_size(c) > 4096 ? 1024 * 1024 : 256 * 1024);
}
// More than this once cache_share times as many were in use as one was empty or full.
constexpr uint32_t cache_modest(unsigned c) {
  return class_size(c) > 4096 ? bytes_items(c, 512 * 1024) : cache_most(c);
}
constexpr uint32_t cache_share = 8;
constexpr uint32_t cache_first = 8;
static_assert(cache_most(zone_count - 1) >= 8 && cache_most(0) * class_size(0) <= 256 * 1024 &&
              cache_most(deep_classes - 1) * class_size(deep_classes - 1) <= 256 * 1024);

// Offset of the count of each class's cache in a block; the last: where the next line is free. No two owners, with
// which caches begin, are in the same line of a page, and none in the first: caches of hot zones then share no cache
// set, and the call-site table tells classes by these bits.
struct cache_offsets {
  uint32_t at[zone_count + 1];
};
class cache_packer {
public:
  constexpr cache_offsets pack() {
    for (unsigned deep = 0; deep < deep_classes; deep++)
      m_lines_taken |= uint64_t{1} << (deep_line + deep);
    for (unsigned deep = 0; deep < deep_classes; deep++) {
      fill(2 * deep, deep_line + deep);
      put(deep, 2 * deep, deep_line + deep);
    }
    unsigned end = fill(2 * deep_classes, 64);
    m_caches.at[zone_count] = (2 * deep_classes * 64 + end) * 64;
    return m_caches;
  }

private:
  static constexpr unsigned lines(unsigned c) {
    return unsigned(cache_owner_bytes + cache_items_offset + 4 * cache_most(c) + 63) / 64;
  }
  constexpr void put(unsigned c, unsigned page, unsigned line) {
    m_caches.at[c] = (page * 64 + line) * 64 + uint32_t(cache_owner_bytes);
  }
  // The class with the longest array that still fits into so many lines.
  constexpr unsigned longest(unsigned room) const {
    unsigned best = zone_count;
    for (unsigned c = deep_classes; c < zone_count; c++)
      if (m_caches.at[c] == 0 && lines(c) <= room && (best == zone_count || lines(c) > lines(best)))
        best = c;
    return best;
  }
  // Puts arrays into a page, up to line `end`; returns where the last one ends.
  constexpr unsigned fill(unsigned page, unsigned end) {
    unsigned filled = 1;
    for (unsigned line = 1, c; line < end; line++)
      if (!(m_lines_taken >> line & 1) && (c = longest(end - line)) < zone_count) {
        m_lines_taken |= uint64_t{1} << line;
        put(c, page, line);
        filled = line + lines(c);
        line = filled - 1;
      }
    return filled;
  }

  cache_offsets m_caches{};
  uint64_t m_lines_taken = 1;
};
inline constexpr cache_offsets caches = cache_packer().pack();

constexpr bool caches_all_placed() {
  for (uint32_t at : caches.at)
    if (at == 0 || at > domain_bytes)
      return false;
  return true;
}
static_assert(caches_all_placed());

} // namespace m9
