// SPDX-License-Identifier: BSD-2-Clause
//
// What each CPU keeps of the large blocks that it freed, so that one which comes and goes needs no lock. Large blocks
// up to 8 MiB are rounded up to classes, four per doubling as the zones' are; a class has a cache of its own in each
// CPU's block, whose indices are page numbers. Kept blocks are `cached` extents; they count as idle memory and go back
// with it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/extent.h"
#include "core/zone.h"
#include "shim/percpu.h"

namespace m9 {

constexpr size_t large_class_most = 8 * 1024 * 1024;
constexpr unsigned large_classes = class_of_medium(large_class_most) + 1 - zone_count;
constexpr uint32_t large_cache_items = 12; // with its head, one line
constexpr uint32_t large_cache_bytes = 64;
static_assert(cache_owner_bytes + cache_items_offset + 4 * large_cache_items == large_cache_bytes);
static_assert(caches.at[zone_count] + large_classes * large_cache_bytes <= domain_bytes);

// What a block for `size` bytes has: a class's size or, beyond the largest and in compact mode, whole pages.
size_t large_bytes(size_t size);

// A block of these bytes, or up to half as many more, that was kept, still `cached` and idle; nullptr: none was.
extent *large_cache_take(verbs v, size_t bytes);
// Keeps a `cached` block; false: it is none that is kept, or enough are.
bool large_cache_put(verbs v, extent *e);
// Makes what CPUs keep free extents.
void large_caches_drain(verbs v) M9_REQUIRES(extents_lock);

} // namespace m9
