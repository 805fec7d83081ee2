// SPDX-License-Identifier: BSD-2-Clause
//
// Where zones, their items and their stamps lie: nothing meets anything else, and each address leads to its zone.
#include "core/layout.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include "core/heap.h"
#include "core/keg.h"
#include "core/malloc.h"
#include "core/zone_plan.h"

using namespace m9;

namespace {

struct part {
  uint64_t from, until; // from the start of the reservation
  unsigned zone;
};

// The places of a zone's slabs: those in the nursery, and the others.
std::vector<slab_range> places(unsigned n) {
  unsigned c = zone_class(n), domain = zone_domain(n);
  std::vector<slab_range> all{zone_slabs(c, domain)};
  if (domain == 0)
    all.push_back({0, near_slabs(c)});
  return all;
}

void check_apart(std::vector<part> all) {
  std::sort(all.begin(), all.end(), [](const part &a, const part &b) { return a.from < b.from; });
  for (size_t i = 1; i < all.size(); i++) {
    INFO("zones " << all[i - 1].zone << " and " << all[i].zone);
    REQUIRE(all[i - 1].until <= all[i].from);
  }
  REQUIRE(all.back().until <= zones_bytes);
}

} // namespace

TEST_CASE("no two zones have a unit in common, and no two classes the page of a slot's stamps", "[layout]") {
  std::vector<part> units, stamps;
  for (unsigned n = 0; n < zones_all; n++) {
    unsigned c = zone_class(n);
    for (auto [from, until] : places(n)) {
      REQUIRE(from < until);
      REQUIRE(uint64_t{until} * class_slab_items(c) <= uint64_t{1} << 32);
      uint64_t low = class_top(c) - until * class_slab_bytes(c), high = class_top(c) - from * class_slab_bytes(c);
      units.push_back({low / unit_bytes * unit_bytes, (high + unit_bytes - 1) / unit_bytes * unit_bytes, n});
      if (zone_domain(n) != 0)
        continue; // the stamps of the second domain follow those of the first
      uint64_t tags = group_top(group_of(c)) + 4096 + class_tags(c), bytes = stamp_bytes(class_slab_items(c));
      if (from == 0) // the nursery
        stamps.push_back({tags, tags + until * bytes, n});
      else // whole pages, and what lies above the first slab
        stamps.push_back({(tags + (from - 1) * bytes) & ~uint64_t{4095},
                          (tags + zone_slabs(c, 1).until * bytes + 4095) & ~uint64_t{4095}, n});
    }
  }
  check_apart(units);
  check_apart(stamps);
  for (unsigned g = 0; g < groups; g++) // a page between items and stamps
    for (const part &p : units)
      REQUIRE((p.until <= group_top(g) || p.from >= group_top(g) + tags_window));
}

TEST_CASE("an address leads to its zone, and an index to the address", "[layout]") {
  heap_enter();
  if (layout_is_compact())
    return;
  std::mt19937_64 random(5);
  std::vector<void *> all;
  const uintptr_t stack[2] = {reinterpret_cast<uintptr_t>(__builtin_return_address(0)), 0};
  const call_frame frame{reinterpret_cast<uintptr_t>(&stack[1]), 0};
  unsigned beyond = 0;
  for (unsigned c = 0; c < zone_count; c += c < 8 ? 1 : 3) {
    size_t size = class_size(c), bytes = 0;
    for (; bytes < 3 * unit_bytes; bytes += size) { // the nursery, and more
      void *p = malloc_slow(size, frame);
      REQUIRE(p);
      all.push_back(p);
      size_t inside = random() % size;
      item_place at = layout_find(static_cast<uint8_t *>(p) + inside);
      REQUIRE(zone_class(at.zone) == c);
      REQUIRE(at.start == p);
      REQUIRE(at.inside == inside);
      REQUIRE((*at.tag & stamp_held) != 0);
      REQUIRE(layout_item(at.zone, at.index) == p);
      REQUIRE(layout_tag(at.zone, at.index) == at.tag);
      REQUIRE(zones[at.zone].tags + at.index == at.tag);
      const zone &unit = zone_of_offset(reinterpret_cast<uint64_t>(p) - zone_list.base);
      uint64_t index = 0;
      REQUIRE(zone_number(unit) == at.zone);
      REQUIRE(zone_index(unit, p, index));
      REQUIRE(index == at.index);
      REQUIRE((inside == 0 || !zone_index(unit, static_cast<uint8_t *>(p) + inside, index)));
      beyond += at.index >= near_slabs(c) * class_slab_items(c);
    }
  }
  CHECK(beyond > 1000);
  // Above the first slab of a slot, in its unit, there is nothing.
  for (unsigned n = 0; n < zones_all; n++)
    if (const keg &k = kegs[n]; k.slabs > k.near && k.items.start % unit_bytes != zone_list.base % unit_bytes) {
      item_place at = layout_find(reinterpret_cast<void *>(k.items.start));
      CHECK(at.zone == n);
      CHECK(at.tag == nullptr);
      beyond = 0;
    }
  CHECK(beyond == 0); // there was one
  for (void *p : all)
    free_slow(p);
  // What was never given out belongs to a zone by the plan alone, or to none.
  uintptr_t low = zone_list.base + class_top(9) - unit_bytes;
  CHECK(zone_class(layout_find(reinterpret_cast<void *>(low)).zone) == 9);
  CHECK(layout_find(reinterpret_cast<void *>(low)).tag == nullptr);
  uintptr_t far =
      zone_list.base + class_top(9) - (uint64_t{class_slots.of_class[9]} << slot_shift) - (uint64_t{9} << 32);
  CHECK(layout_find(reinterpret_cast<void *>(far)).zone == zone_of(9, 1));
  CHECK(layout_find(reinterpret_cast<void *>(zone_list.base + group_top(0) + 100)).zone == zones_all);
  CHECK(layout_find(reinterpret_cast<void *>(zone_list.base + zones_bytes)).zone == zones_all);
}
