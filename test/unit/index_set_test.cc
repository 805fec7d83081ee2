// SPDX-License-Identifier: BSD-2-Clause
#include "core/index_set.h"

#include <catch2/catch.hpp>

#include <random>
#include <set>
#include <vector>

using m9::index_set;

TEST_CASE("an index set agrees with std::set", "[index_set]") {
  for (uint32_t capacity : {1u, 64u, 65u, 5000u, 300000u}) {
    std::vector<uint64_t> memory(index_set::bytes_for(capacity) / 8 + 1);
    index_set s;
    s.init(memory.data(), capacity);
    std::set<uint32_t> model;
    std::mt19937 random(capacity);
    for (int step = 0; step < 20000; step++) {
      auto i = uint32_t(random() % capacity);
      if (step % 5000 < 3000 ? random() % 3 : random() % 9 == 0) {
        s.insert(i);
        model.insert(i);
      } else {
        s.remove(i);
        model.erase(i);
      }
      REQUIRE(s.contains(i) == (model.count(i) == 1));
      REQUIRE(s.first() == (model.empty() ? index_set::none : *model.begin()));
      REQUIRE(s.last() == (model.empty() ? index_set::none : *model.rbegin()));
      auto from = uint32_t(random() % capacity);
      auto next = model.lower_bound(from);
      REQUIRE(s.next(from) == (next == model.end() ? index_set::none : *next));
    }
  }
}
