// SPDX-License-Identifier: BSD-2-Clause
//
// Where each type allocates, as profilers want it: places (return addresses, each with the functions that lie there)
// and, for each type that ever allocated, the places from the innermost out. A type of no known place has one of its
// own name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tool/groups.h"

namespace m9::tool {

struct stack_place {
  uint32_t module = format::no_module; // index in model::modules
  uint64_t address = 0;                // as it was in the process; 0: unknown
  std::vector<source_frame> frames;    // innermost first, never empty; each has a name
};

struct stack_sample {
  uint32_t type;                // index in model::types
  std::vector<uint32_t> places; // innermost first, indices in stacks::places
  figures sum;
};

struct stacks {
  std::vector<stack_place> places;
  std::vector<stack_sample> samples;
};

stacks stacks_of(const model &m, naming &names);
// Of one of model::frames, whatever type it is of.
stack_place place_of_frame(const model &m, naming &names, const model_frame &frame);

} // namespace m9::tool
