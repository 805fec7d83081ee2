// SPDX-License-Identifier: BSD-2-Clause
//
// What an allocation wrapper is: a function that asks for memory because its own caller wants it, so that a type named
// after it would say nothing. By name where there is one; where there is none, by the shape of its code and by who
// calls it. Reads only code and symbols that are mapped, and gives the same answer in every run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shim/modules.h"

namespace m9 {

// `symbol` as it stands in the file (mangled).
bool wrapper_name(const char *symbol);

// A function without a name that calls an allocator (`first`) or a wrapper. `code`: its bytes, as .eh_frame bounds
// them; `after`: offset of the return address of that call.
bool wrapper_code(const uint8_t *code, size_t size, size_t after, bool first);

// One frame of a chain, as symbol_find() and unwind_find() know it.
struct wrapper_frame {
  uintptr_t return_address;
  const module_facts *module; // nullptr: in no module, which is no wrapper
  const char *name;           // nullptr: no symbol covers it
  uintptr_t start;            // of the function; 0: unknown
  size_t size;
};

// Whether the chain goes on above `frame`. `first`: it called the allocator itself. `caller`: the frame above it,
// or nullptr; looked at only when `frame` has no name.
bool wrapper_passes(const wrapper_frame &frame, const wrapper_frame *caller, bool first);

} // namespace m9
