// SPDX-License-Identifier: BSD-2-Clause
//
// Where things lie. Usually one reservation holds all that core/zone_plan.h says, and before it a record for each unit
// of that; all of it is opened step by step. Where the address limit is too small (`ulimit -v`),
// compact mode takes slabs and their tags as they are needed, the zones stay unknown to the fast paths, and the page
// map says which slab an address belongs to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/keg.h"

namespace m9 {

// Once, before anything is allocated. Chooses the mode.
void layout_start();
bool layout_is_compact();

// Opens the next slab of a zone and says so in its record, all zero before; false when memory is refused. The keg's
// lock is held.
bool layout_slab(unsigned n, uint32_t number, slab &s);
// Gives an idle slab's pages (and, beyond the nursery, those of its tags) back; false: they are locked.
bool layout_slab_purge(unsigned n, slab &s);
void layout_slab_forget(unsigned n, slab &s); // compact: the record alone, wherever its extent went
// Compact mode: memory again for a slab whose extent was given away.
bool layout_slab_back(unsigned n, slab &s);

// What an address is in the zones.
struct item_place {
  unsigned zone;  // zones_all: not in a zone's addresses
  uint32_t index; // of the item it lies in
  size_t inside;  // bytes from the item's start
  uint8_t *start; // of the item
  uint16_t *tag;  // its stamp; nullptr: no slab is there yet
};
item_place layout_find(const void *p);

// Address and stamp of an item that exists.
uint8_t *layout_item(unsigned n, uint32_t index);
uint16_t *layout_tag(unsigned n, uint32_t index);

} // namespace m9
