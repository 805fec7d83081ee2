// SPDX-License-Identifier: BSD-2-Clause
#include "core/site.h"

#include "core/cell.h"
#include "core/chain.h"
#include "core/declared.h"
#include "core/meta.h"
#include "core/module.h"
#include "core/stack.h"
#include "shim/pages.h"

namespace m9 {

constinit lookup_tables lookups = {};
constinit site_table sites = {};

namespace {

constexpr uint64_t entries_first = 512, entries_most = uint64_t{1} << 20;
uint64_t entries_used; // (t)

uint64_t site_key(const site &s) {
  return std::atomic_ref(const_cast<uint64_t &>(s.key)).load(std::memory_order_relaxed);
}
bool site_free(const site &s, uint64_t key) {
  uint64_t has = site_key(s);
  return has == 0 || has == key;
}

// For the direct table no lock is needed, so two may want one slot at once. Who gets it writes key_busy, then the
// place, then the key. Whoever forgets says so first (walks_forget) and leaves a busy slot to its owner, to whom
// key_cancelled says that what it has may be of before. An owner that never comes back leaves a slot that nobody uses.
constexpr uint64_t key_busy = 1, key_cancelled = 2; // no call is from there
bool direct_publish(site &s, uint64_t key, uint64_t place, uint32_t generation) {
  std::atomic_ref at(s.key);
  uint64_t has = at.load(std::memory_order_relaxed);
  if (has != 0 || !at.compare_exchange_strong(has, key_busy))
    return has == key;
  std::atomic_ref(s.place).store(place, std::memory_order_relaxed);
  has = key_busy;
  if (std::atomic_ref(walks.generation).load() == generation && at.compare_exchange_strong(has, key))
    return true;
  at.store(0, std::memory_order_release);
  return false;
}

// Of the hash. Readers have no lock: no key stands before its place does, nor while that is another's.
void site_write(site &s, uint64_t key, uint64_t place) M9_REQUIRES(malloc_mtx) {
  if (site_key(s) != key)
    std::atomic_ref(s.key).store(0, std::memory_order_relaxed);
  std::atomic_ref(s.place).store(place, std::memory_order_release); // both pair with site_look_up
  std::atomic_ref(s.key).store(key, std::memory_order_release);
}

// False: there is no slot for it. Counts it in `used` if it is new.
bool site_put(uint64_t base, uint64_t mask, uint64_t key, uint64_t place, uint64_t &used) M9_REQUIRES(malloc_mtx) {
  for (unsigned i = 0; i < site_probes; i++) {
    site &s = site_probe(base, mask, key, i);
    if (!site_free(s, key))
      continue;
    used += s.key == 0;
    site_write(s, key, place);
    return true;
  }
  return false;
}

// Takes out the entry at `hole`. Of those behind it, up to the next free place, whichever was looked for there moves
// up.
void site_take_out(uint64_t base, uint64_t mask, uint64_t hole) M9_REQUIRES(malloc_mtx) {
  auto at = [base](uint64_t offset) -> site & { return *reinterpret_cast<site *>(base + offset); };
  const uint64_t first = hole;
  for (uint64_t next = (hole + sizeof(site)) & mask; next != first && at(next).key != 0;
       next = (next + sizeof(site)) & mask)
    if (uint64_t home = site_hash(at(next).key) & mask; ((next - home) & mask) >= ((next - hole) & mask)) {
      site_write(at(hole), at(next).key, at(next).place);
      hole = next;
    }
  std::atomic_ref(at(hole).key).store(0, std::memory_order_release);
}

// A table twice as large with everything that is in this one; what finds no slot there is found again slowly.
bool table_grow() M9_REQUIRES(malloc_mtx) {
  uint64_t old_base = sites.base.load(std::memory_order_relaxed), old_mask = sites.mask.load(std::memory_order_relaxed);
  uint64_t entries = old_base ? (old_mask / sizeof(site) + 1) * 2 : entries_first;
  if (entries > entries_most)
    return false;
  auto base = reinterpret_cast<uint64_t>(meta_alloc(entries * sizeof(site)));
  if (!base)
    return false;
  if (entries * sizeof(site) >= 65536) // all of its pages are looked at, and then written to: two faults each
    pages_populate(base, entries * sizeof(site), true);
  uint64_t mask = (entries - 1) * sizeof(site);
  entries_used = 0;
  for (uint64_t at = 0; old_base && at <= old_mask; at += sizeof(site)) {
    const site &s = *reinterpret_cast<site *>(old_base + at);
    if (s.key != 0)
      site_put(base, mask, s.key, s.place, entries_used);
  }
  sites.base.store(base, std::memory_order_relaxed);
  sites.mask.store(mask, std::memory_order_release); // after the base: see site_table
  return true;
}

bool is_gone(const site &s) M9_REQUIRES(malloc_mtx) {
  if (s.key == 0)
    return false;
  if (s.key & key_one_up)
    return module_was_unloaded((s.key & ~key_one_up) - zone_keys.of_class[(s.key & ~key_one_up) >> 48]);
  if (s.place & frame_known)
    return module_was_unloaded(s.key - (s.key > step_key ? step_key : frame_key));
  const cell_info *info = cell_find(place_cell(s.place));
  if (info && info->type->ks_handle->ruled) // has sites in other modules, too
    return module_was_unloaded(s.key - zone_keys.of_class[s.key >> 48]);
  return info && info->type->ks_handle->gone;
}

// Which entries: all, or those that no longer hold. What is found by others is read from the table, and before that the
// generation: so the table is first, and whoever read from it before is told by another generation.
template <class Which> void sites_forget(Which which) M9_REQUIRES(malloc_mtx) {
  chains_forget();
  uint64_t base = sites.base.load(std::memory_order_relaxed), mask = sites.mask.load(std::memory_order_relaxed);
  for (uint64_t at = 0; at <= mask; at += sizeof(site))
    for (; which(*reinterpret_cast<site *>(base + at)); entries_used--) // by turns what moves there, too
      site_take_out(base, mask, at);
  walks_forget();
  for (site &s : lookups.direct) {
    uint64_t has = key_busy;
    if (!std::atomic_ref(s.key).compare_exchange_strong(has, key_cancelled) && has > key_cancelled && which(s))
      std::atomic_ref(s.key).store(0, std::memory_order_release);
  }
}

} // namespace

void site_insert(uint64_t key, uint64_t place, bool direct) {
  if (direct)
    direct_publish(site_direct(key), key, place, walk_generation());
  uint64_t entries = sites.mask.load(std::memory_order_relaxed) / sizeof(site) + 1;
  if (entries_used * 2 >= entries && entries < entries_most)
    table_grow();
  for (int tries = 0; tries < 2; tries++) {
    if (site_put(sites.base.load(std::memory_order_relaxed), sites.mask.load(std::memory_order_relaxed), key, place,
                 entries_used))
      return;
    if (!table_grow())
      return; // it stays out, and is found through its type each time
  }
}

void lookups_start() {
  for (unsigned c = 0; c < zone_count; c++)
    lookups.of_class[c] = {zone_keys.of_class[c], &zones[zone_of(c, 0)]};
  for (unsigned i = 0; i <= small_size_max / 16; i++)
    lookups.of_16[i] = lookups.of_class[class_of(size_t{i} * 16)];
}

bool sites_start() {
  walks_start();
  locked guard(malloc_mtx);
  return table_grow();
}

namespace {

// The place of a type that needs no caller.
uint64_t site_of_type(malloc_type_internal &t, unsigned zone) {
  uint64_t key = declared_key(t) + zone_keys.of_class[zone];
  if (uint64_t place = site_look(key))
    return place;
  locked guard(malloc_mtx);
  uint64_t cell = cell_for(*t.type, zone);
  if (!cell)
    return 0;
  uint64_t place = place_of(cell_tag(zone, cell), cell);
  if (site_look(key) == 0) // else another thread was faster
    site_insert(key, place, true);
  return place;
}

// As malloc finds it.
uint64_t place_known(call_frame f, uint64_t zone_key) {
  if (const site &s = site_direct(f.caller() + zone_key); s.key == f.caller() + zone_key)
    return s.place;
  if (const site *s = site_one_up(f, zone_key))
    return s->place;
  return chain_place(f, zone_key);
}

} // namespace

uint64_t site_find(call_frame frame, unsigned zone) {
  auto *declared = static_cast<malloc_type_internal *>(frame_subject(frame));
  if (declared || (declared = scope_now))
    return site_of_type(*declared, zone);
  if (stack_depth != 0) {
    uint64_t place = stack_look(frame, zone);
    return place ? place : stack_find(frame, zone);
  }
  uint64_t zone_key = zone_keys.of_class[zone];
  if (uint64_t place = place_known(frame, zone_key))
    return place;
  locked guard(malloc_mtx);
  const auto [caller, sure] = chain_end_find(frame);
  malloc_type *t = malloc_type_of(caller);
  uint64_t cell = t || (t = malloc_type_other()) ? cell_for(*t, zone) : 0;
  if (!cell)
    return 0;
  uint64_t place = place_of(cell_tag(zone, cell), cell);
  malloc_type_note_end(*t, caller, sure);
  if (sure)
    place |= place_ends;
  if (site_look_up(caller + zone_key) != place) // else another thread was faster
    site_insert(caller + zone_key, place, false);
  return place;
}

bool site_promote(uintptr_t wrapper, uint64_t step, uintptr_t caller, uint64_t zone_key, uint64_t place,
                  uint32_t generation) {
  uint64_t key = caller + zone_key, first = wrapper + zone_key;
  site *slot = &site_direct(key), &step_slot = site_direct(first);
  if (step != no_step && !site_free(*slot, key))
    slot = &site_beside(*slot);
  if (!site_free(*slot, key) || (step != no_step && !site_free(step_slot, first | key_one_up)))
    return false;
  return site_look_up(key) == place && direct_publish(*slot, key, place, generation) &&
         (step == no_step || direct_publish(step_slot, first | key_one_up, step, generation));
}

void sites_forget_gone() { sites_forget(is_gone); }

void sites_forget_all() {
  sites_forget([](const site &s) { return s.key != 0; });
}

} // namespace m9
