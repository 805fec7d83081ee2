// SPDX-License-Identifier: BSD-2-Clause
//
// Free extents in bins by size: exact below 16 pages, then four per doubling. All of it under extents_lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/extent.h"

namespace m9 {

constexpr unsigned extent_bin_count = 128;

struct extent_set {
  extent *bins[extent_bin_count];
  uint64_t occupied[extent_bin_count / 64]; // a bit per bin
  uint64_t bytes;
};

void set_insert(extent_set &s, extent *e);
void set_remove(extent_set &s, extent *e);
// One with room for `pages` from a multiple of `alignment` on, which is `at`; nullptr: none was found. From the exact
// bin a few are tried, from larger ones the first.
extent *set_find(const extent_set &s, uint32_t pages, size_t alignment, uintptr_t &at);

} // namespace m9
