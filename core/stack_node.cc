// SPDX-License-Identifier: BSD-2-Clause
#include "core/stack_node.h"

#include <atomic>

#include "core/meta.h"
#include "shim/pages.h"
#include "shim/panic.h"

namespace m9 {
namespace {

constexpr uint32_t page_nodes = 4096, nodes_most = uint32_t{1} << 21; // 48 MiB
stack_node *pages[nodes_most / page_nodes];                           // (t), a page is filled before its nodes are told
uint32_t nodes_end = 1;                                               // (t)

// Numbers of nodes by (caller, address), an open hash at most half full (t).
uint32_t *children;
uint32_t children_size; // a power of two

stack_node &node_at(uint32_t node) { return pages[node / page_nodes][node % page_nodes]; }

uint32_t child_slot(uint32_t caller, uintptr_t address) {
  return uint32_t(((address ^ uint64_t{caller} << 40) * 0x9E3779B97F4A7C15u) >> 32) & (children_size - 1);
}

void child_put(uint32_t node) M9_REQUIRES(malloc_mtx) {
  uint32_t slot = child_slot(node_at(node).caller, node_at(node).address);
  while (children[slot] != 0)
    slot = (slot + 1) & (children_size - 1);
  children[slot] = node;
}

bool children_grow() M9_REQUIRES(malloc_mtx) {
  uint32_t old_size = children_size, size = old_size ? old_size * 2 : 16384;
  while (size < nodes_end * 2)
    size *= 2;
  auto *fresh = reinterpret_cast<uint32_t *>(pages_map(size * sizeof(uint32_t)));
  if (!fresh)
    return false;
  uint32_t *old = children;
  children = fresh;
  children_size = size;
  for (uint32_t node = 1; node < nodes_end; node++)
    if (!node_at(node).gone)
      child_put(node);
  if (old)
    pages_unmap(reinterpret_cast<uintptr_t>(old), old_size * sizeof(uint32_t));
  return true;
}

uint32_t child_find(uint32_t caller, uintptr_t address) M9_REQUIRES(malloc_mtx) {
  for (uint32_t slot = child_slot(caller, address); children[slot] != 0; slot = (slot + 1) & (children_size - 1)) {
    const stack_node &n = node_at(children[slot]);
    if (n.address == address && n.caller == caller && !n.gone)
      return children[slot];
  }
  return 0;
}

uint32_t child_make(uint32_t caller, uintptr_t address) M9_REQUIRES(malloc_mtx) {
  if (nodes_end == nodes_most || (nodes_end * 2 >= children_size && !children_grow()))
    return 0;
  auto *&page = pages[nodes_end / page_nodes];
  if (!page && !(page = static_cast<stack_node *>(meta_alloc(page_nodes * sizeof(stack_node)))))
    return 0;
  uint32_t module = module_number(address);
  stack_node &n = node_at(nodes_end);
  n.address = address;
  n.caller = caller;
  n.module = module == modules_none ? stack_no_module : uint16_t(module);
  n.depth = uint8_t(caller ? node_at(caller).depth + 1 : 1);
  child_put(nodes_end);
  return nodes_end++;
}

} // namespace

uint32_t stack_nodes_end() { return nodes_end; }
const stack_node &stack_node_at(uint32_t node) { return node_at(node); }

uint32_t stack_node_for(const uintptr_t *frames, uint32_t count) {
  if (!children && !children_grow())
    return 0;
  uint32_t node = 0;
  while (count-- > 0) {
    uint32_t next = child_find(node, frames[count]);
    if (!next && !(next = child_make(node, frames[count])))
      return 0;
    node = next;
  }
  return node;
}

void stack_node_set_type(uint32_t node, malloc_type *type) { node_at(node).type = type; }

bool stack_node_is(uint32_t node, const uintptr_t *frames, uint32_t count) {
  if (node_at(node).depth != count || std::atomic_ref(node_at(node).gone).load(std::memory_order_relaxed))
    return false;
  for (uint32_t i = 0; i < count; i++) {
    const stack_node &n = node_at(node);
    if (n.address != frames[i])
      return false;
    node = n.caller;
  }
  return true;
}

void stack_nodes_abandon() M9_UNCHECKED { // its owner does not exist here
  bool any = children;
  children = nullptr;
  children_size = 0;
  CHECK(!any || children_grow(), "no memory for a child made by clone");
}

void stack_nodes_forget_unloaded() {
  for (uint32_t node = 1; node < nodes_end; node++) {
    stack_node &n = node_at(node);
    bool unloaded = n.module != stack_no_module && module_get(n.module)->unloaded;
    if (unloaded || (n.caller != 0 && node_at(n.caller).gone))
      std::atomic_ref(n.gone).store(true, std::memory_order_relaxed);
  }
}

} // namespace m9
