// SPDX-License-Identifier: BSD-2-Clause
//
// Large allocations: everything above zone_size_max, and alignments above it. Each is an extent; its type counts in the
// large zone, in number and in bytes (of their size class, or whole pages beyond 8 MiB). In-place growth and shrinking
// count bytes only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shim/call_frame.h"

namespace m9 {

// `zero`: reads as zeros. nullptr when memory is refused.
void *large_alloc(size_t size, size_t alignment, bool zero, call_frame f);
// Keeps the large allocation that starts here out of core dumps as long as it lives. False: the kernel refused.
bool large_hide(void *p);
// False: no large allocation starts here.
bool large_free(void *p);
// Bytes of the large allocation that starts here, 0 when none does.
size_t large_size(const void *p);
// p, when it can have the size where it stands; else nullptr.
void *large_resize(void *p, size_t size);
// A larger block with p's contents, for whose pages moving is cheaper than copying; p is gone. nullptr: not possible.
void *large_move(void *p, size_t size, call_frame f);

} // namespace m9
