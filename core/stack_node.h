// SPDX-License-Identifier: BSD-2-Clause
//
// Whole chains of callers (MALLOC9_CONF=stack:N), kept as a tree: a node is a return address below the node of its own
// caller, so chains share what they have in common on the outside, and each node stands for one chain. Nodes are never
// removed, and never change but for `type` and `gone`; a caller's number is lower than that of whom it called.
#pragma once

#include <cstdint>

#include "core/malloc_type.h"
#include "core/module.h"

namespace m9 {

constexpr uint32_t stack_frames_most = 64;

struct stack_node {
  uintptr_t address; // return address (i)
  malloc_type *type; // of the chain that ends here, nullptr: none (t)
  uint32_t caller;   // node of the frame further out; 0: none (i)
  uint16_t module;   // number, stack_no_module: none (i)
  uint8_t depth;     // frames from here outwards, this one included (i)
  bool gone;         // its module was unloaded, or its caller's: another may have the address (t)
};
static_assert(sizeof(stack_node) == 24);
constexpr uint16_t stack_no_module = UINT16_MAX;
static_assert(modules_most < stack_no_module);

// Node numbers begin with 1 and are below this; only those that were given out may be asked for.
uint32_t stack_nodes_end();
const stack_node &stack_node_at(uint32_t node);

// The node of a chain, frames[0] being the innermost, made if it is new. 0: no memory, or there are too many.
uint32_t stack_node_for(const uintptr_t *frames, uint32_t count) M9_REQUIRES(malloc_mtx);
void stack_node_set_type(uint32_t node, malloc_type *type) M9_REQUIRES(malloc_mtx);

// Whether a node stands for exactly this chain, and still does. Takes no lock.
bool stack_node_is(uint32_t node, const uintptr_t *frames, uint32_t count);

// As malloc_types_abandon.
void stack_nodes_abandon();

// After modules were unloaded.
void stack_nodes_forget_unloaded() M9_REQUIRES(malloc_mtx);

} // namespace m9
