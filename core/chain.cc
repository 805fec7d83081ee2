// SPDX-License-Identifier: BSD-2-Clause
#include "core/chain.h"

#include "core/heap.h"
#include "core/module.h"
#include "core/rules.h"
#include "core/wrapper.h"
#include "shim/symbols.h"
#include "shim/unwind.h"

namespace m9 {

uint32_t chain_depth = 8;
uint32_t chain_depth_find = 8;

namespace {
// The step that led to f.
void walk_add(walk_record &walk, uint64_t frame, call_frame f, uintptr_t bottom, uint64_t &pointer) {
  uint64_t saved = frame >> frame_offset_bits & frame_offset_mask;
  if ((frame & frame_by_rbp) && (frame & frame_offset_mask) != 16)
    walk.drop();
  walk.add(f.caller(), f.cfa - bottom, frame & frame_by_rbp ? pointer : 0);
  if (saved != 0)
    pointer = (f.cfa - bottom - saved) / 8 + 1;
}

// Step by step.
[[gnu::noinline]] uint64_t walk_make(call_frame f, uint64_t zone_key) {
  const call_frame from = f;
  uint32_t generation = walk_generation();
  uintptr_t caller = f.caller();
  walk_record walk{};
  walk.first = caller;
  uint64_t pointer = walk_register; // where rbp stands
  uint64_t first_step = no_step;
  unsigned steps = 0;
  uint64_t place = site_look_up(caller + zone_key); // malloc has asked the direct table
  for (uint32_t depth = place & place_ends ? chain_depth : 1; depth < chain_depth; depth++) {
    uint64_t frame = site_look_up(caller + frame_key);
    if (frame == 0) {
      place = site_look_up(caller + zone_key);
      if (!(place & place_ends))
        return 0;
      break;
    }
    if (!chain_step(frame, f, stack_readable)) {
      walk.drop(); // it ends here this time
      break;
    }
    if (steps++ == 0)
      first_step = ((frame & frame_offset_mask) - 8) | (frame & frame_by_rbp ? one_up_by_rbp : 0);
    caller = f.caller();
    walk_add(walk, frame, f, from.cfa, pointer);
  }
  if (!(place & place_ends))
    place = site_look_up(caller + zone_key);
  bool near = (place & place_ends) && steps <= 1;
  if (place && !(near && site_promote(from.caller(), first_step, caller, zone_key, place, generation)))
    walk_remember(walk, from, zone_key, place, generation);
  return place;
}

} // namespace

uint64_t chain_place(call_frame f, uint64_t zone_key) {
  uint64_t place = walk_look(f, zone_key);
  return place ? place : walk_make(f, zone_key);
}

uint64_t frame_pack(const unwind_step &s) {
  if (s.base == unwind_base::none || s.cfa < 8 || (s.rbp < 0 && s.rbp > -16) || uint64_t(s.cfa) > frame_offset_mask ||
      s.rbp > 0 || uint64_t(-int64_t{s.rbp}) > frame_offset_mask)
    return 0;
  return frame_known | frame_wrapper | (s.base == unwind_base::rbp ? frame_by_rbp : 0) | uint64_t(s.cfa) |
         uint64_t(-int64_t{s.rbp}) << frame_offset_bits;
}

bool generated_code(uintptr_t address) {
  mapping_facts mapping{};
  module_facts module;
  return !module_find(address, module) && mapping_find(address, mapping) && mapping.permissions[2] == 'x';
}

namespace {

// A frame, with the name that wrapper_frame only points to.
struct frame_facts {
  wrapper_frame frame;
  symbol name;
};

// Module and name alone.
bool frame_name(uintptr_t caller, frame_facts &facts) M9_REQUIRES(malloc_mtx) {
  facts.frame = {};
  facts.frame.return_address = caller;
  module_facts found;
  if (!module_find(caller, found))
    return false;
  uint32_t number = module_number(caller);
  if (number == modules_none)
    return false;
  const module &m = *module_get(number);
  facts.frame.module = &m.facts;
  if (symbol_find(found.path[0] ? m.facts : found, caller - 1, facts.name))
    facts.frame.name = facts.name.name;
  return true;
}

// Where functions lie that were last seen to be no wrappers: half of all new call sites are in one of them.
constexpr unsigned plain_most = 4;
struct {
  uintptr_t from, until;
} plain[plain_most]; // (t)
unsigned plain_next; // (t)

bool plain_known(uintptr_t address) M9_REQUIRES(malloc_mtx) {
  for (const auto &p : plain)
    if (address >= p.from && address < p.until)
      return true;
  return false;
}

// The step past a return address, if it lies in a wrapper; else 0. Where it lies in a function without a name, its
// caller is looked at too: who calls that may tell what it is.
uint64_t wrapper_step(uintptr_t caller, call_frame f, bool first) M9_REQUIRES(malloc_mtx) {
  static frame_facts own, above; // too large for a small stack; under the lock
  if (plain_known(caller - 1) || !frame_name(caller, own))
    return 0;
  const rule *r = rules_count ? rule_for(own.frame.module->path, own.frame.name) : nullptr;
  bool has_type = r && r->type.data; // whatever it is, the user has a name for it
  if (own.frame.name && (has_type || (!r && !wrapper_name(own.frame.name)))) {
    plain[plain_next++ % plain_most] = {own.name.from, own.name.until};
    return 0; // most are; how to step past it is of no use
  }
  if (has_type)
    return 0;
  unwind_function function{};
  unwind_step step = unwind_find(caller, function);
  own.frame.start = function.start;
  own.frame.size = function.size;
  uint64_t packed = frame_pack(step);
  if (!packed && step.end != unwind_end::outermost)
    heap_note_add(heap_note::steps_unknown);
  stack_forget();
  if (!packed || !chain_step(packed, f, stack_readable))
    return 0;
  bool has_caller = unwind_follows_call(f.caller());
  if (!has_caller && !generated_code(f.caller()))
    return 0; // a table that leads to what is no code is not believed again
  has_caller = has_caller && !own.frame.name && frame_name(f.caller(), above);
  return r || wrapper_passes(own.frame, has_caller ? &above.frame : nullptr, first) ? packed : 0;
}

} // namespace

chain_end chain_end_find(call_frame f) {
  uintptr_t caller = f.caller();
  for (uint32_t depth = 1; depth < chain_depth_find; depth++) {
    uint64_t key = caller + frame_key;
    uint64_t frame = site_look_up(key);
    if (!frame) {
      if (malloc_type_ends_chains(caller) || (frame = wrapper_step(caller, f, depth == 1)) == 0)
        return {caller, true};
      site_insert(key, frame, false);
    }
    call_frame up = f;
    if (!chain_step(frame, up, stack_readable))
      return {caller, false};
    uintptr_t above = up.caller();
    if (!site_look_up(above + frame_key) && !unwind_follows_call(above))
      return {caller, false}; // no code that a module has: the chain ends where it is sure
    f = up;
    caller = above;
  }
  return {caller, chain_depth_find == 1 || malloc_type_ends_chains(caller)};
}

void chains_forget() {
  for (auto &p : plain)
    p = {0, 0};
}

} // namespace m9
