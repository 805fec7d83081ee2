// SPDX-License-Identifier: BSD-2-Clause
//
// From an address to the record of its page: three levels over 47 bits. A leaf covers 16 MiB and holds one record per
// page; it appears with the first chunk that touches it and stays. Reading takes no lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/extent.h"

namespace m9 {

constexpr unsigned leaf_shift = 24, middle_shift = 35, address_bits = 47;

void page_map_start(size_t page_bytes);
unsigned page_map_page_shift();
// The record of the page at this address; nullptr when no chunk of ours is near.
extent *page_map_find(uintptr_t address);
// Makes the records of a range exist; false when there is no memory for them.
bool page_map_cover(uintptr_t address, size_t size);
// The leaves that exist, for walks: returns the first address at or above `from` whose leaf exists, or 0.
uintptr_t page_map_next_leaf(uintptr_t from);
// Calls f(address, record) for every page that has a record.
template <class F> void page_map_for_each(F f) {
  const uintptr_t leaf_bytes = uintptr_t{1} << leaf_shift, page = uintptr_t{1} << page_map_page_shift();
  for (uintptr_t leaf = page_map_next_leaf(page); leaf; leaf = page_map_next_leaf(leaf + leaf_bytes))
    for (uintptr_t at = leaf; at < leaf + leaf_bytes; at += page)
      f(at, *page_map_find(at));
}

} // namespace m9
