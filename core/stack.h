// SPDX-License-Identifier: BSD-2-Clause
//
// MALLOC9_CONF=stack:N: what an allocation counts for is its whole chain of callers, up to N frames, exactly. No call
// then finds an entry in the direct table, so malloc's own path knows nothing of it: the walk goes up all frames by
// steps that are kept in the call-site table, under keys of their own, and looks the chain up by its hash. The frames
// are compared before it is believed.
#pragma once

#include <cstdint>

#include "core/chain.h"
#include "core/stack_node.h"

namespace m9 {

// What a return address has beside its zone in keys of steps.
constexpr uint64_t step_key = uint64_t{zone_count + 2} << 48 | 0x30;

extern M9_HIDDEN uint32_t stack_depth; // frames of a chain, at most; 0: types are call sites (i) once configured

// The place of a chain that was seen before, for a zone; 0: it is new, or there is one in a frame on the way.
uint64_t stack_look(call_frame f, unsigned zone);
// As stack_look, and makes the type, the cell and the entry. 0: no memory at all.
uint64_t stack_find(call_frame f, unsigned zone);

// From now on, for all that is allocated.
void stacks_start(uint32_t depth);
// Drops the entries of chains of which a module is gone.
void stacks_forget_gone() M9_REQUIRES(malloc_mtx);

} // namespace m9
