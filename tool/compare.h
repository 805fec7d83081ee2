// SPDX-License-Identifier: BSD-2-Clause
//
// What grew and shrank between two statistics: two moments, runs, builds or hosts. Where both know a module by the same
// build-id, types are the same if their offsets in it are; else, if their functions and source files are.
#pragma once

#include <string>
#include <vector>

#include "tool/groups.h"

namespace m9::tool {

struct change {
  std::string name;
  figures before, after;
  bool by_place = false; // matched by build-id and offset, not by name

  int64_t memuse() const { return static_cast<int64_t>(after.memuse - before.memuse); }
  int64_t inuse() const { return static_cast<int64_t>(after.inuse - before.inuse); }
  int64_t numallocs() const { return static_cast<int64_t>(after.numallocs - before.numallocs); }
  bool any() const { return memuse() != 0 || inuse() != 0 || numallocs() != 0; }
};

// Of all that changed, what changed most (live bytes, then allocations) first.
std::vector<change> compare(const model &a, naming &a_names, const model &b, naming &b_names, group_by by);

} // namespace m9::tool
