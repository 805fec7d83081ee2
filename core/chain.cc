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
} // namespace

uint64_t chain_place(call_frame f, uint64_t zone_key) {
  if (uint64_t place = walk_known_otherwise(f, zone_key))
    return place;
  const call_frame from = f;
  uint32_t generation = walk_generation();
  uintptr_t caller = f.caller();
  walk_record walk{};
  walk.first = caller;
  uint64_t pointer = walk_register; // where rbp stands
  uint64_t own = site_look_up(caller + zone_key);
  for (uint32_t depth = own & place_ends ? chain_depth : 1; depth < chain_depth; depth++) {
    uint64_t frame = site_look(caller + frame_key);
    if (frame == 0)
      return 0;
    if (!(frame & frame_wrapper))
      break;
    if (!chain_step(frame, f, stack_readable)) {
      walk.drop(); // it ends here this time
      break;
    }
    caller = f.caller();
    walk_add(walk, frame, f, from.cfa, pointer);
  }
  uint64_t place = own & place_ends ? own : site_look(caller + zone_key);
  if (place)
    walk_remember(walk, from, zone_key, place, generation);
  return place;
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

// What there is to know of a return address. Where it lies in a function without a name, its caller is looked at too:
// who calls that may tell what it is.
uint64_t frame_judge(uintptr_t caller, call_frame f, bool first) M9_REQUIRES(malloc_mtx) {
  static frame_facts own, above; // too large for a small stack; under the lock
  if (!frame_name(caller, own))
    return frame_known;
  const rule *r = rules_count ? rule_for(own.frame.module->path, own.frame.name) : nullptr;
  if (r && r->type.data)
    return frame_known; // whatever it is, the user has a name for it
  if (!r && own.frame.name && !wrapper_name(own.frame.name))
    return frame_known; // most are; how to step past it is of no use
  unwind_function function{};
  unwind_step step = unwind_find(caller, function);
  own.frame.start = function.start;
  own.frame.size = function.size;
  uint64_t packed = frame_pack(step);
  if (!packed && step.end != unwind_end::outermost)
    heap_note_add(heap_note::steps_unknown);
  stack_forget();
  if (!packed || !chain_step(packed, f, stack_readable))
    return frame_known;
  bool has_caller = unwind_follows_call(f.caller());
  if (!has_caller && !generated_code(f.caller()))
    return frame_known; // a table that leads to what is no code is not believed again
  has_caller = has_caller && !own.frame.name && frame_name(f.caller(), above);
  return r || wrapper_passes(own.frame, has_caller ? &above.frame : nullptr, first) ? packed : frame_known;
}

} // namespace

uintptr_t chain_caller_find(call_frame f) {
  uintptr_t caller = f.caller();
  for (uint32_t depth = 1; depth < chain_depth_find; depth++) {
    uint64_t key = caller + frame_key;
    uint64_t frame = site_look(key);
    if (!frame) {
      frame = frame_judge(caller, f, depth == 1);
      site_insert(key, frame, (frame & frame_wrapper) != 0);
    }
    call_frame up = f;
    if (!(frame & frame_wrapper) || !chain_step(frame, up, stack_readable))
      return caller;
    uintptr_t above = up.caller();
    if (!site_look(above + frame_key) && !unwind_follows_call(above))
      return caller; // no code that a module has: the chain ends where it is sure
    f = up;
    caller = above;
  }
  return caller;
}

} // namespace m9
