// SPDX-License-Identifier: BSD-2-Clause
#include "core/size_class.h"

#include <catch2/catch.hpp>

using namespace m9;

TEST_CASE("a size gets the smallest class that holds it", "[size_class]") {
  for (size_t size = 0; size <= zone_size_max; size++) {
    unsigned c = class_of(size);
    REQUIRE(class_size(c) >= size);
    REQUIRE((c == 0 || class_size(c - 1) < size));
    if (size <= small_size_max)
      REQUIRE(small_classes.of_16[(size + 15) / 16] == c);
  }
}

TEST_CASE("classes cut slabs without a rest, and the reciprocal is exact", "[size_class]") {
  for (unsigned c = 0; c < zone_count; c++) {
    uint64_t size = class_size(c);
    REQUIRE(class_slab_items(c) * size == class_slab_bytes(c));
    REQUIRE((class_slab_items(c) & (class_slab_items(c) - 1)) == 0);
    uint64_t reciprocal = UINT64_MAX / size + 1;
    uint64_t items = uint64_t{1} << 32; // as many as indices
    for (uint64_t i : {uint64_t{0}, uint64_t{1}, items / 3, items / 2 + 1, items - 1})
      for (uint64_t inside : {uint64_t{0}, uint64_t{1}, size - 1}) {
        uint64_t offset = i * size + inside;
        auto product = __extension__ static_cast<unsigned __int128>(offset) * reciprocal;
        REQUIRE(uint64_t(product >> 64) == i);
        REQUIRE((uint64_t(product) < reciprocal) == (inside == 0));
      }
  }
}

TEST_CASE("aligned requests get a class of multiples", "[size_class]") {
  for (size_t alignment = 16; alignment <= zone_size_max; alignment *= 2)
    for (size_t size : {size_t{1}, size_t{100}, size_t{1000}, size_t{5000}, size_t{60000}}) {
      unsigned c = class_of_aligned(size, alignment);
      REQUIRE(c < zone_count);
      REQUIRE(class_size(c) >= size);
      REQUIRE(class_size(c) % alignment == 0);
    }
  REQUIRE(class_of_aligned(1, 2 * zone_size_max) == zone_count);
  REQUIRE(class_of_aligned(zone_size_max + 1, 16) == zone_count);
}
