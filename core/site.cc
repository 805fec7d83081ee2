// SPDX-License-Identifier: BSD-2-Clause
#include "core/site.h"

#include "core/cell.h"
#include "core/meta.h"

namespace m9 {

constinit site_table sites = {};

namespace {

constexpr uint64_t entries_first = 512, entries_most = uint64_t{1} << 20;
constexpr unsigned probes = 4;
uint64_t entries_used; // (t)

site *table_slot(uint64_t base, uint64_t mask, uint64_t key, unsigned probe) {
  return reinterpret_cast<site *>(base + ((site_hash(key) + probe * sizeof(site)) & mask));
}

uint64_t key_load(const site &s) {
  return std::atomic_ref(const_cast<uint64_t &>(s.key)).load(std::memory_order_acquire); // pairs with site_put
}

bool site_put(uint64_t base, uint64_t mask, const site &entry) {
  for (unsigned i = 0; i < probes; i++) {
    site *s = table_slot(base, mask, entry.key, i);
    if (s->key != 0)
      continue;
    s->cell = entry.cell;
    s->tag = entry.tag;
    std::atomic_ref(s->key).store(entry.key, std::memory_order_release);
    return true;
  }
  return false;
}

// A table four times as large with everything that is in this one; what finds no slot there is found again slowly.
bool table_grow() M9_REQUIRES(malloc_mtx) {
  uint64_t old_base = sites.base, old_mask = sites.mask;
  uint64_t entries = old_base ? (old_mask / sizeof(site) + 1) * 4 : entries_first;
  if (entries > entries_most)
    return false;
  auto base = reinterpret_cast<uint64_t>(meta_alloc(entries * sizeof(site)));
  if (!base)
    return false;
  uint64_t mask = (entries - 1) * sizeof(site);
  entries_used = 0;
  for (uint64_t at = 0; old_base && at <= old_mask; at += sizeof(site)) {
    const site &s = *reinterpret_cast<site *>(old_base + at);
    if (s.key != 0)
      entries_used += site_put(base, mask, s);
  }
  std::atomic_ref(sites.base).store(base, std::memory_order_release); // before the mask: see site_table
  std::atomic_ref(sites.mask).store(mask, std::memory_order_release);
  return true;
}

void table_insert(const site &entry) M9_REQUIRES(malloc_mtx) {
  uint64_t entries = sites.mask / sizeof(site) + 1;
  if (entries_used * 4 >= entries && entries < entries_most)
    table_grow();
  for (int tries = 0; tries < 2; tries++) {
    if (site_put(sites.base, sites.mask, entry)) {
      entries_used++;
      return;
    }
    if (!table_grow())
      return; // it stays out, and is found through its type each time
  }
}

} // namespace

bool sites_start() {
  locked guard(malloc_mtx);
  return table_grow();
}

site_found site_find(uintptr_t caller, unsigned zone) {
  uint64_t key = site_key(caller, zone);
  uint64_t mask = std::atomic_ref(sites.mask).load(std::memory_order_acquire); // pairs with table_grow
  uint64_t base = std::atomic_ref(sites.base).load(std::memory_order_acquire);
  for (unsigned i = 0; i < probes; i++) {
    const site *s = table_slot(base, mask, key, i);
    if (key_load(*s) == key)
      return {s->cell, s->tag};
  }
  locked guard(malloc_mtx);
  malloc_type *t = malloc_type_of(caller);
  uint64_t cell = t || (t = malloc_type_other()) ? cell_for(*t, zone) : 0;
  uint16_t tag = cell ? cell_tag(zone, cell) : 0;
  for (unsigned i = 0; i < probes; i++) // another thread may have been faster
    if (table_slot(sites.base, sites.mask, key, i)->key == key)
      return {cell, tag};
  if (cell)
    table_insert({key, uint32_t(cell), tag, 0});
  return {cell, tag};
}

void sites_forget_gone() {
  uint64_t base = sites.base, mask = sites.mask;
  for (uint64_t at = 0; at <= mask; at += sizeof(site)) {
    site &s = *reinterpret_cast<site *>(base + at);
    if (s.key == 0)
      continue;
    const cell_info *info = cell_find(s.cell);
    if (info && info->type->ks_handle->gone) {
      std::atomic_ref(s.key).store(0, std::memory_order_release);
      entries_used--;
    }
  }
}

} // namespace m9
