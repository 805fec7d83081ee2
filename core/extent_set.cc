// SPDX-License-Identifier: BSD-2-Clause
#include "core/extent_set.h"

#include "core/page_map.h"

namespace m9 {
namespace {

unsigned bin_of(uint32_t pages) {
  if (pages < 16)
    return pages;
  auto log = unsigned(31 - __builtin_clz(pages));
  return 16 + (log - 4) * 4 + ((pages >> (log - 2)) & 3);
}

// Where an aligned run of `pages` would begin in e, or 0.
uintptr_t extent_fit(const extent &e, uint32_t pages, size_t alignment) {
  uintptr_t at = (e.address + alignment - 1) & ~(alignment - 1);
  uintptr_t end = e.address + extent_bytes(e);
  return at < end && end - at >= size_t{pages} << page_map_page_shift() ? at : 0;
}

} // namespace

void set_insert(extent_set &s, extent *e) {
  unsigned b = bin_of(e->pages);
  e->prev = nullptr;
  e->next = s.bins[b];
  if (e->next)
    e->next->prev = e;
  s.bins[b] = e;
  s.occupied[b / 64] |= uint64_t{1} << (b % 64);
  s.bytes += extent_bytes(*e);
}

void set_remove(extent_set &s, extent *e) {
  unsigned b = bin_of(e->pages);
  (e->prev ? e->prev->next : s.bins[b]) = e->next;
  if (e->next)
    e->next->prev = e->prev;
  if (!s.bins[b])
    s.occupied[b / 64] &= ~(uint64_t{1} << (b % 64));
  s.bytes -= extent_bytes(*e);
}

extent *set_find(const extent_set &s, uint32_t pages, size_t alignment, uintptr_t &at) {
  for (unsigned b = bin_of(pages); b < extent_bin_count; b++) {
    uint64_t rest = s.occupied[b / 64] >> (b % 64);
    if (!rest) {
      b |= 63;
      continue;
    }
    b += unsigned(__builtin_ctzll(rest));
    unsigned tries = 0;
    for (extent *e = s.bins[b]; e && tries < 16; e = e->next, tries++)
      if ((at = extent_fit(*e, pages, alignment)))
        return e;
  }
  return nullptr;
}

} // namespace m9
