// SPDX-License-Identifier: BSD-2-Clause
//
// Types put together by what people ask about: each by its name, or all of a function, of a source file, of a module.
//
// Invariant: every type that ever allocated is in one group, so that a total over groups is the total over types.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tool/model.h"
#include "tool/naming.h"

namespace m9::tool {

enum class group_by { type, function, file, module };

struct figures {
  uint64_t inuse = 0;  // items
  uint64_t memuse = 0; // bytes
  uint64_t numallocs = 0, numfrees = 0;
  uint64_t memalloced = 0; // bytes
  uint64_t highuse = 0;    // bytes: they held at least so much at one moment
  bool highuse_exact = true;

  // Of different types; what they held together at one moment is known only as a lower bound.
  figures &operator+=(const figures &other);
};

struct group {
  std::string name; // "module!function", a path, a base name; in brackets where the place is unknown
  figures sum;
  std::vector<uint32_t> types; // indices in model::types
};

enum class group_order { live, allocs, peak };

figures figures_of(const model &m, const model_type &type);
figures total_figures(const model &m);
std::string group_name(const model &m, naming &names, const model_type &type, group_by by);
std::vector<group> groups_of(const model &m, naming &names, group_by by);
void groups_sort(std::vector<group> &groups, group_order order);

// How long the process had lived when these were written, at least a nanosecond.
double seconds_of(const model_head &head);
// Allocations per second of the process's life, rounded up.
uint64_t rate_of(const model_head &head, uint64_t allocations);

group_by group_by_of(const std::string &word); // "type", "function", "file", "module"
// By file, names come from debug information alone.
naming_options naming_for(naming_options how, group_by by);

} // namespace m9::tool
