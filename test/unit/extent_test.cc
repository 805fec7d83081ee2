// SPDX-License-Identifier: BSD-2-Clause
#include "core/extent.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "core/decay.h"
#include "core/heap.h"
#include "core/large_cache.h"
#include "core/page_map.h"

using namespace m9;

namespace {

struct held {
  extent *e;
  unsigned char mark;
};

void check_totals(const std::vector<held> &all) M9_UNCHECKED {
  uint64_t live = 0;
  for (const held &h : all)
    live += extent_bytes(*h.e);
  extent_totals t = extents_totals();
  REQUIRE(t.live == live);
  REQUIRE(t.live + t.cached + t.dirty + t.clean + t.slabs == t.mapped);
}

bool filled(const held &h) {
  auto *p = static_cast<unsigned char *>(extent_address(*h.e));
  for (size_t i = 0; i < extent_bytes(*h.e); i += 4096)
    if (p[i] != h.mark || p[i + 4095] != h.mark)
      return false;
  return true;
}

void fill(const held &h) { memset(extent_address(*h.e), h.mark, extent_bytes(*h.e)); }

} // namespace

TEST_CASE("extents do not overlap, keep their bytes, and add up", "[extent]") M9_UNCHECKED {
  heap_enter();
  std::mt19937 random(7);
  std::vector<held> all;
  locked guard(extents_lock);
  for (int step = 0; step < 4000; step++) {
    bool zeroed = false;
    if (all.size() < 40 || random() % 2) {
      size_t size = 65537 + random() % (step % 10 ? 300000 : 3000000);
      size_t alignment = size_t{1} << (random() % 6 ? 0 : 12 + random() % 10);
      extent *e = extent_take(size, alignment, zeroed);
      REQUIRE(e);
      REQUIRE(e->address % alignment == 0);
      REQUIRE(extent_bytes(*e) >= size);
      auto *p = static_cast<unsigned char *>(extent_address(*e));
      for (size_t i = 0; zeroed && i < size; i += 512)
        REQUIRE(p[i] == 0);
      all.push_back({e, static_cast<unsigned char>(random() % 255 + 1)});
      fill(all.back());
      REQUIRE(extent_at(e->address) == e);
      REQUIRE(extent_around(e->address + size / 2) == e);
    } else {
      size_t i = random() % all.size();
      REQUIRE(filled(all[i]));
      if (random() % 4 == 0 && extent_resize(all[i].e, 70000 + random() % 500000)) {
        fill(all[i]);
        continue;
      }
      uintptr_t address = all[i].e->address;
      all[i].e->tag = 1;
      extent_give(all[i].e);
      REQUIRE(extent_at(address) == nullptr);
      all[i] = all.back();
      all.pop_back();
    }
    if (step % 100 == 0) {
      check_totals(all);
      if (step % 300 == 0)
        extents_purge_to(0);
    }
  }
  for (const held &h : all) {
    REQUIRE(filled(h));
    extent_give(h.e);
  }
  all.clear();
  extents_purge_to(0);
  check_totals(all);
  REQUIRE(extents_totals().dirty == 0);
}

TEST_CASE("after abandonment nothing joins with what was free", "[extent]") M9_UNCHECKED {
  heap_enter();
  locked guard(extents_lock);
  constexpr size_t half = 20 * 1024 * 1024;
  bool zeroed;
  extent *on_its_way = extent_take(half, 1, zeroed); // to somebody who would give it a tag
  extent *e = extent_take(2 * half, 1, zeroed);
  REQUIRE((on_its_way && e));
  on_its_way->tag = 0;
  e->tag = 1;
  const uintptr_t address = e->address, lost = on_its_way->address;
  REQUIRE(extent_resize(e, half)); // the other half is free now, right behind
  extents_abandon();
  REQUIRE(extent_at(address) == e);
  REQUIRE(extent_at(lost) == nullptr);
  extent_give(e);
  REQUIRE(extents_totals().dirty == half);
  REQUIRE(extents_totals().clean == 0);
  extent *other = extent_take(2 * half, 1, zeroed);
  REQUIRE(other);
  REQUIRE(other->address != address);
  extent_give(other);
  extents_purge_to(0);
}

TEST_CASE("absurd sizes are refused", "[extent]") M9_UNCHECKED {
  heap_enter();
  locked guard(extents_lock);
  bool zeroed;
  REQUIRE(extent_take(0, 1, zeroed) == nullptr);
  REQUIRE(extent_take(size_t{1} << 62, 1, zeroed) == nullptr);
  REQUIRE(extent_at(4096) == nullptr);
  REQUIRE(extent_around(reinterpret_cast<uintptr_t>(&zeroed)) == nullptr);
}

TEST_CASE("of many that claim one extent, one gets it", "[extent]") M9_UNCHECKED {
  heap_enter();
  extent *e;
  {
    locked guard(extents_lock);
    bool zeroed;
    e = extent_take(large_bytes(100000), 1, zeroed);
    REQUIRE(e);
  }
  for (int round = 0; round < 1000; round++) {
    std::atomic<int> claimed = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++)
      threads.emplace_back([&] {
        size_t counted = 0;
        claimed += extent_claim(e->address, counted) == e && counted == extent_bytes(*e);
      });
    for (std::thread &t : threads)
      t.join();
    REQUIRE(claimed == 1);
    uint32_t number;
    REQUIRE((extent_number(*e, number) && extent_of_number(number) == e));
    decay_account_extents(int64_t(extent_bytes(*e))); // as one that is kept
    extent_hand_out(*e, extent_bytes(*e), 1);
  }
  size_t counted = 0;
  REQUIRE(extent_claim(e->address + 4096, counted) == nullptr);
  locked guard(extents_lock);
  extent_give(e);
  REQUIRE(extent_claim(e->address, counted) == nullptr);
}

TEST_CASE("large blocks have classes of at most a quarter more", "[extent]") {
  for (size_t size = zone_size_max + 1; size <= large_class_most; size += size / 50) {
    REQUIRE(large_bytes(size) >= size);
    REQUIRE(large_bytes(size) < size + size / 4 + 4096);
    REQUIRE(large_bytes(large_bytes(size)) == large_bytes(size));
  }
  REQUIRE(large_bytes(large_class_most + 1) == large_class_most + 4096);
}
