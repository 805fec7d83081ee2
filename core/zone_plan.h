// SPDX-License-Identifier: BSD-2-Clause
//
// Which addresses zones have. Usually one reservation holds them all, so that free can tell by an address. A class has
// 64 GiB (its slot), a zone half of it; the first of its slabs lie elsewhere, near the first ones of other classes,
// since a page of page tables leads to 2 MiB: that is the nursery. Of its index an item's address is a linear function
// all the same, and so is its stamp's:
//   item = base - index * size       stamp = tags + 2 * index
// So the slot of a class begins less than 2^32 items below its nursery, and where nurseries of several classes share
// pages, so do their first stamps, and those of their slots must not meet. Classes for which this can be had form a
// group. A group, from low to high addresses:
//   slot n-1 | ... | slot 1 | slot 0, the top of which is the nursery: a unit per class | a page | stamps
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/size_class.h"
#include "core/zone.h"
#include "shim/percpu_layout.h"

namespace m9 {

constexpr int zone_shift = 35; // 32 GiB
constexpr int slot_shift = zone_shift + 1;
static_assert(domain_count == 2);

constexpr unsigned groups = 4;
constexpr unsigned group_of(unsigned c) { return c == 0 ? 0 : c == 1 || c == 6 || c == 7 ? 1 : c < 6 ? 2 : 3; }
constexpr unsigned group_classes(unsigned g) {
  unsigned n = 0;
  for (unsigned c = 0; c < zone_count; c++)
    n += group_of(c) == g;
  return n;
}
// Of the nursery, from the top.
constexpr unsigned class_unit(unsigned c) {
  unsigned n = 0;
  for (unsigned before = 0; before < c; before++)
    n += group_of(before) == group_of(c);
  return n;
}
// Slabs of a class that lie in its unit.
constexpr uint32_t near_slabs(unsigned c) { return uint32_t(unit_bytes / class_slab_bytes(c)); }
constexpr uint64_t nursery_bytes(unsigned g) { return group_classes(g) * unit_bytes; }
constexpr uint64_t stamp_bytes(uint64_t items) { return items * sizeof(uint16_t); }

// The stamps of the nursery. Those that are used first, the last ones of the first slab, lie at different cache sets;
// the tables of rare classes follow each other closely, to share pages.
constexpr uint64_t class_tags(unsigned c) {
  uint64_t at = 0;
  for (unsigned i = 0; i <= c; i++) {
    if (group_of(i) != group_of(c))
      continue;
    uint64_t first = stamp_bytes(class_slab_items(i)), line = (i * 5 + 32) % 64;
    at = i < 8 ? at + (line * 64 + 64 - (at + first)) % 4096 : at + uint64_t{5} * 64;
    if (i < c)
      at += stamp_bytes(near_slabs(i) * class_slab_items(i)) + 64;
  }
  return at & ~uint64_t{63};
}
constexpr uint64_t nursery_tags(unsigned g) {
  uint64_t most = 0;
  for (unsigned c = 0; c < zone_count; c++)
    if (group_of(c) == g)
      most = class_tags(c) + stamp_bytes(near_slabs(c) * class_slab_items(c));
  return (most + 4095) & ~uint64_t{4095};
}

// What is left free of a slot: the nursery above the first one, and room that keeps the stamps of slots apart.
constexpr uint64_t slot_edge = 64 * 1024 * 1024, tags_apart = 256 * 1024;
struct byte_range {
  uint64_t from, until; // from the group's top down
};
constexpr byte_range slot_range(unsigned slot) {
  return {(uint64_t{slot} << slot_shift) + (slot == 0 ? slot_edge : 0), (uint64_t{slot + 1} << slot_shift) - slot_edge};
}
constexpr byte_range slot_tags(unsigned c, unsigned slot) {
  byte_range r = slot_range(slot);
  return {stamp_bytes(r.from / class_size(c)), stamp_bytes(r.until / class_size(c)) + tags_apart};
}

// The slot of each class: the highest one that its 32-bit indices reach and no smaller class of the group forbids.
struct slot_table {
  unsigned of_class[zone_count];
  bool complete;
};
constexpr slot_table slots_choose() {
  constexpr unsigned slots_most = 60;
  slot_table t{{}, true};
  for (unsigned c = 0; c < zone_count; c++) {
    unsigned slot = class_size(c) / 16 < slots_most ? unsigned(class_size(c) / 16) : slots_most;
    bool fits = false;
    while (!fits && slot-- > 0) {
      byte_range mine = slot_tags(c, slot);
      fits = mine.from >= tags_apart;
      for (unsigned other = 0; fits && other < c; other++)
        if (group_of(other) == group_of(c)) {
          byte_range its = slot_tags(other, t.of_class[other]);
          fits = slot != t.of_class[other] && (mine.until <= its.from || its.until <= mine.from);
        }
    }
    t.complete = t.complete && fits;
    t.of_class[c] = slot;
  }
  return t;
}
inline constexpr slot_table class_slots = slots_choose();
static_assert(class_slots.complete);

constexpr unsigned group_slots(unsigned g) {
  unsigned n = 0;
  for (unsigned c = 0; c < zone_count; c++)
    if (group_of(c) == g && class_slots.of_class[c] >= n)
      n = class_slots.of_class[c] + 1;
  return n;
}

// Where a group's top lies, from the start of the reservation. A page of page tables covers table_bytes, of which a
// quarter is left above each top, for the first stamps.
constexpr uint64_t table_bytes = 2 * 1024 * 1024, table_above = table_bytes / 4;
constexpr uint64_t tags_window = (uint64_t{2} << 32) + table_bytes;
constexpr uint64_t group_top(unsigned g) {
  uint64_t at = 0;
  for (unsigned i = 0; i < g; i++)
    at += (uint64_t{group_slots(i)} << slot_shift) + tags_window;
  return at + (uint64_t{group_slots(g)} << slot_shift);
}
constexpr uint64_t zones_bytes = group_top(groups - 1) + tags_window; // of the reservation
constexpr uint64_t class_top(unsigned c) { return group_top(group_of(c)) - class_unit(c) * unit_bytes; }

// Slabs that follow each other downwards from class_top, by numbers. Those of a zone, but for what lies in the nursery.
struct slab_range {
  uint32_t from, until;
};
constexpr slab_range zone_slabs(unsigned c, unsigned domain) {
  byte_range r = slot_range(class_slots.of_class[c]);
  uint64_t middle = (uint64_t{class_slots.of_class[c]} << slot_shift) + (uint64_t{1} << zone_shift);
  uint64_t bytes = class_slab_bytes(c), above = class_unit(c) * unit_bytes;
  uint64_t from = (domain == 0 ? r.from : middle) - above, until = (domain == 0 ? middle : r.until) - above;
  return {uint32_t((from + bytes - 1) / bytes), uint32_t(until / bytes)};
}

// All of it.
struct class_plan {
  uint64_t top;                // from the start of the reservation; items lie downwards from there
  uint64_t tags;               // stamps lie upwards from here; after the page above the group's top
  slab_range of[domain_count]; // as zone_slabs
};
struct plan_table {
  class_plan of_class[zone_count];
  uint64_t group_tops[groups], nursery_tags[groups];
};
constexpr plan_table plan_make() {
  plan_table t{};
  for (unsigned g = 0; g < groups; g++) {
    t.group_tops[g] = group_top(g);
    t.nursery_tags[g] = nursery_tags(g);
  }
  for (unsigned c = 0; c < zone_count; c++)
    t.of_class[c] = {class_top(c), class_tags(c), {zone_slabs(c, 0), zone_slabs(c, 1)}};
  return t;
}
inline constexpr plan_table plan = plan_make();

constexpr bool plan_holds() {
  for (unsigned g = 0; g < groups; g++)
    if (nursery_tags(g) > tags_apart / 2 || nursery_bytes(g) > slot_edge / 2 || group_top(g) % table_bytes != 0)
      return false;
  for (unsigned c = 0; c < zone_count; c++)
    if (uint64_t{zone_slabs(c, 1).until} * class_slab_items(c) > uint64_t{1} << 32 || near_slabs(c) == 0)
      return false;
  return true;
}
static_assert(plan_holds());

} // namespace m9
