// SPDX-License-Identifier: BSD-2-Clause
#include "core/stack.h"

#include "core/cell.h"
#include "core/heap.h"
#include "core/meta.h"
#include "core/site.h"
#include "shim/unwind.h"

namespace m9 {

uint32_t stack_depth = 0;

namespace {

// A chain as it was found on the stack, and its hash.
struct frames {
  uint32_t count = 0;
  uint64_t hash;
  uintptr_t at[stack_frames_most];

  explicit frames(unsigned zone) : hash(zone + 1) {}
  bool add(uintptr_t address) { // false: it is full now
    at[count++] = address;
    hash = (hash ^ address) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
    return count < stack_depth;
  }
};

struct stack_entry {
  uint64_t hash; // of chain and zone; 0: free. Written last (t)
  uint64_t place;
  uint32_t node;
};
constexpr uint64_t entries_first = 4096, entries_most = uint64_t{1} << 20;
constexpr unsigned probes = 8;
struct entry_table {
  uint64_t mask; // entries - 1; they follow
  stack_entry &at(uint64_t i) { return reinterpret_cast<stack_entry *>(this + 1)[i & mask]; }
};
std::atomic<entry_table *> table; // one that is full stays, as it may be read
uint64_t entries_used;            // (t)

constexpr unsigned types_most = 1 << 18; // no more than there are cells
unsigned types_made;                     // (t)

uint64_t hash_key(const frames &f) { return f.hash | 1; } // not 0

const stack_entry *entry_find(const frames &f) {
  entry_table *t = table.load(std::memory_order_acquire); // pairs with table_grow
  for (unsigned i = 0; t && i < probes; i++) {
    const stack_entry &e = t->at((hash_key(f) >> 20) + i);
    uint64_t hash = std::atomic_ref(const_cast<uint64_t &>(e.hash)).load(std::memory_order_acquire); // with entry_put
    if (hash == hash_key(f) && stack_node_is(e.node, f.at, f.count))
      return &e;
  }
  return nullptr;
}

bool entry_put(entry_table &t, uint64_t hash, uint64_t place, uint32_t node) M9_REQUIRES(malloc_mtx) {
  for (unsigned i = 0; i < probes; i++) {
    stack_entry &e = t.at((hash >> 20) + i);
    if (e.hash != 0)
      continue;
    e.place = place;
    e.node = node;
    std::atomic_ref(e.hash).store(hash, std::memory_order_release); // pairs with entry_find
    return true;
  }
  return false;
}

// What finds no slot there is found again, slowly.
bool table_grow() M9_REQUIRES(malloc_mtx) {
  entry_table *old = table.load(std::memory_order_relaxed);
  uint64_t entries = old ? (old->mask + 1) * 4 : entries_first;
  if (entries > entries_most)
    return false;
  auto *fresh = static_cast<entry_table *>(meta_alloc(sizeof(entry_table) + entries * sizeof(stack_entry)));
  if (!fresh)
    return false;
  fresh->mask = entries - 1;
  entries_used = 0;
  for (uint64_t i = 0; old && i <= old->mask; i++)
    if (const stack_entry &e = old->at(i); e.hash != 0)
      entries_used += entry_put(*fresh, e.hash, e.place, e.node);
  table.store(fresh, std::memory_order_release); // pairs with entry_find
  return true;
}

void entry_insert(const frames &f, uint64_t place, uint32_t node) M9_REQUIRES(malloc_mtx) {
  entry_table *t = table.load(std::memory_order_relaxed);
  if ((!t || entries_used * 2 >= t->mask + 1) && !table_grow() && !t)
    return;
  for (int tries = 0; tries < 2; tries++) {
    if (entry_put(*table.load(std::memory_order_relaxed), hash_key(f), place, node)) {
      entries_used++;
      return;
    }
    if (!table_grow())
      return;
  }
}

// What there is to know of a frame: its step, if that leads to code.
uint64_t step_judge(uintptr_t caller, call_frame f) {
  unwind_function function{};
  unwind_step step = unwind_find(caller, function);
  uint64_t packed = frame_pack(step);
  if (!packed && step.end != unwind_end::outermost)
    heap_note_add(heap_note::steps_unknown);
  stack_forget();
  if (!packed || !chain_step(packed, f, stack_readable))
    return frame_known;
  return unwind_follows_call(f.caller()) || generated_code(f.caller()) ? packed : frame_known;
}

// Goes up all frames, and looks at what is new.
void frames_collect(call_frame f, frames &found) M9_REQUIRES(malloc_mtx) {
  for (uintptr_t caller = f.caller();;) {
    uint64_t key = caller + step_key, step = site_look(key);
    if (!step) {
      step = step_judge(caller, f);
      site_insert(key, step, true);
    }
    if (!found.add(caller) || !(step & frame_wrapper) || !chain_step(step, f, stack_readable))
      return;
    caller = f.caller();
    if (!site_look(caller + step_key) && !unwind_follows_call(caller))
      return; // no code that a module has: the chain ends where it is sure
  }
}

// As frames_collect, where all is known.
bool frames_look(call_frame f, frames &found) {
  for (;;) {
    uintptr_t caller = f.caller();
    uint64_t step = site_look(caller + step_key);
    if (!step) [[unlikely]]
      return found.count != 0 && !unwind_follows_call(caller);
    if (!found.add(caller) || !(step & frame_wrapper) || !chain_step(step, f, stack_readable))
      return true;
  }
}

// The type of a chain; nullptr: of which there are too many.
malloc_type *type_of(const frames &f, malloc_type &site) M9_REQUIRES(malloc_mtx) {
  uint32_t node = types_made < types_most ? stack_node_for(f.at, f.count) : 0;
  if (!node)
    return nullptr;
  if (!stack_node_at(node).type) {
    malloc_type *t = malloc_type_make_stack(site, node);
    types_made += t != nullptr;
    stack_node_set_type(node, t);
  }
  return stack_node_at(node).type;
}

} // namespace

uint64_t stack_look(call_frame f, unsigned zone) {
  frames found(zone);
  const stack_entry *e = frames_look(f, found) ? entry_find(found) : nullptr;
  return e ? e->place : 0;
}

uint64_t stack_find(call_frame f, unsigned zone) {
  locked guard(malloc_mtx);
  frames found(zone);
  frames_collect(f, found);
  if (const stack_entry *e = entry_find(found))
    return e->place; // another thread was faster, or it was only not sure
  const chain_end end = chain_end_find(f);
  malloc_type *site = malloc_type_of(end.caller);
  malloc_type *t = site;
  if (site)
    malloc_type_note_end(*site, end.caller, end.sure);
  // One type for all of JIT code, and for what a rule names.
  if (site && site->ks_handle->address != 0 && !(t = type_of(found, *site))) {
    heap_note_add(heap_note::chains_folded);
    t = malloc_type_other();
  }
  uint64_t cell = t || (t = malloc_type_other()) ? cell_for(*t, zone) : 0;
  if (!cell)
    return 0;
  uint64_t place = place_of(cell_tag(zone, cell), cell);
  if (t->ks_handle->stack != 0)
    entry_insert(found, place, t->ks_handle->stack);
  return place;
}

void stacks_start(uint32_t depth) {
  locked guard(malloc_mtx);
  stack_depth = depth;
  chain_depth = 1;
  sites_forget_all(); // of what was allocated before: its entries stand for call sites
}

void stacks_forget_gone() {
  stack_nodes_forget_unloaded();
  entry_table *t = table.load(std::memory_order_relaxed);
  for (uint64_t i = 0; t && i <= t->mask; i++)
    if (stack_entry &e = t->at(i); e.hash != 0 && stack_node_at(e.node).gone) {
      std::atomic_ref(e.hash).store(0, std::memory_order_release);
      entries_used--;
    }
}

} // namespace m9
