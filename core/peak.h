// SPDX-License-Identifier: BSD-2-Clause
//
// The most that all types held at once. What programs hold is what left the slabs and extents less what lies in caches
// and buckets or is spare; the first is known exactly on slow paths, which alone change it, the second is added up
// whenever the first reached a new height by 64 KiB or a 64th. So the peak lay between `most - slack` and `most`, to
// the operations that were in flight.
#pragma once

#include <cstdint>

#include "core/extent.h"

namespace m9 {

void peak_items(int64_t bytes);                // that left slabs, or came back (below 0)
void peak_extents() M9_REQUIRES(extents_lock); // some were taken, given back or resized

struct peak_bounds {
  uint64_t most, slack;
};
peak_bounds peak_read();

} // namespace m9
