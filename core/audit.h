// SPDX-License-Identifier: BSD-2-Clause
//
// The books: what the counters say against what is there. Walks everything, so it is for tests and for doubts; exact
// only while no other thread allocates.
#pragma once

#include <cstdint>

namespace m9 {

struct audit_result {
  const char *failure;          // nullptr: the books balance
  uint64_t types, zones, items; // what was walked; items: live, large ones included
  uint64_t expected, found;     // of the failure
  uint64_t in_flight;           // a child's: operations of other threads that fork cut off
};

// For each type and zone, allocs minus frees == items that carry its tag; for each zone, live + cached + in the bucket
// == items out of the keg, and slab by slab the same; for large, bytes too; all mapped pages are accounted for.
audit_result audit();

} // namespace m9
