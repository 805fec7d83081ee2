// SPDX-License-Identifier: BSD-2-Clause
//
// The call-site table: what it forgets when a module goes, and that forgetting takes no memory. Types and cells: what a
// child finds that another thread's death left them to.
#include "core/site.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <vector>

#include "core/cell.h"
#include "core/chain.h"
#include "core/heap.h"
#include "core/module.h"
#include "core/stack_node.h"

using namespace m9;

namespace {

// Frames of wrappers, all in this program.
uint64_t key_of(unsigned n) { return reinterpret_cast<uintptr_t>(&key_of) + n + frame_key; }

void insert(unsigned from, unsigned to) M9_REQUIRES(malloc_mtx) {
  for (unsigned n = from; n < to; n++)
    site_insert(key_of(n), frame_known | frame_wrapper | 8, true);
}

unsigned found(unsigned from, unsigned to) {
  unsigned count = 0;
  for (unsigned n = from; n < to; n++)
    count += site_look(key_of(n)) != 0;
  return count;
}

} // namespace

TEST_CASE("frames are forgotten with their module, once", "[site]") {
  heap_enter();
  locked guard(malloc_mtx);
  module *program = module_get(module_number(reinterpret_cast<uintptr_t>(&key_of)));
  insert(0, 100);
  uint64_t mask = sites.mask;
  REQUIRE(found(0, 100) == 100);
  sites_forget_gone();
  REQUIRE(found(0, 100) == 100); // it is still loaded
  program->unloaded = true;
  for (int i = 0; i < 10; i++)
    sites_forget_gone();
  REQUIRE(found(0, 100) == 0);
  insert(100, 200);
  REQUIRE(found(100, 200) == 100);
  REQUIRE(sites.mask == mask);
}

TEST_CASE("what stays is found behind what was forgotten", "[site]") {
  heap_enter();
  locked guard(malloc_mtx);
  module *program = module_get(module_number(reinterpret_cast<uintptr_t>(&key_of)));
  auto other_key = [](unsigned n) { return uint64_t{0x123400000000} + n * 24 + frame_key; };
  for (unsigned n = 0; n < 6000; n++) {
    insert(n, n + 1);
    site_insert(other_key(n), frame_known | frame_wrapper | 16, false);
  }
  REQUIRE(found(0, 6000) == 6000);
  program->unloaded = true;
  sites_forget_gone();
  REQUIRE(found(0, 6000) == 0);
  for (unsigned n = 0; n < 6000; n++)
    REQUIRE(site_look_up(other_key(n)) == (frame_known | frame_wrapper | 16));
}

TEST_CASE("after abandonment types are found again, and no cell is given twice", "[site]") {
  heap_enter();
  locked guard(malloc_mtx);
  // Not evenly spaced: some share a bucket.
  auto type_at = [](unsigned n) M9_REQUIRES(malloc_mtx) {
    return malloc_type_of(reinterpret_cast<uintptr_t>(&key_of) + n * 37 + n * n % 31);
  };
  std::map<uint64_t, const malloc_type *> cells;
  auto cell_at = [&](unsigned n, unsigned c) M9_REQUIRES(malloc_mtx) {
    malloc_type *t = type_at(n);
    uint64_t cell = cell_for(*t, c);
    REQUIRE(cell_find(cell)->type == t);
    REQUIRE(cells.emplace(cell, t).first->second == t);
    return cell;
  };
  std::vector<const malloc_type *> types;
  std::vector<uint64_t> before;
  for (unsigned n = 0; n < 700; n++) {
    types.push_back(type_at(n));
    before.push_back(cell_at(n, n % (large_zone + 1)));
  }
  // As where a cell was linked, and not counted yet: one that lies next to another in a chunk, and so does what is
  // known of it.
  unsigned made = 700;
  uint64_t last = 0;
  do
    last = cell_at(made++, 3);
  while (cell_tag(3, last) % chunk_cells == chunk_cells - 1 || (last - cells_offset) / 16 % 256 == 255);
  cell_info *half = cell_find(last) + 1;
  *half = *cell_find(last);
  half->next_of_type = uint32_t(last);
  cells.emplace(last + 16, half->type);
  half->type->ks_handle->first_cell = uint32_t(last + 16);
  const uint32_t count = malloc_types_count();
  for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t))
    t->ks_handle->next_in_hash = nullptr; // as where the table of types was to grow
  malloc_types_abandon();
  cells_abandon();
  REQUIRE(malloc_types_count() == count);
  for (unsigned n = 0; n < 700; n++) {
    REQUIRE(type_at(n) == types[n]);
    REQUIRE(cell_at(n, n % (large_zone + 1)) == before[n]);
  }
  REQUIRE(malloc_types_count() == count);
  const size_t known = cells.size();
  for (unsigned n = made; n < made + 700; n++)
    cell_at(n, n % (large_zone + 1));
  REQUIRE(cells.size() == known + 700);
  REQUIRE(malloc_types_count() == count + 700);
}

TEST_CASE("after abandonment chains are found again, however many", "[site]") {
  heap_enter();
  locked guard(malloc_mtx);
  // More than a first table of children may hold.
  constexpr unsigned count = 20000;
  auto node_of = [](unsigned n) M9_REQUIRES(malloc_mtx) {
    const uintptr_t frames[] = {reinterpret_cast<uintptr_t>(&key_of) + n, reinterpret_cast<uintptr_t>(&key_of)};
    return stack_node_for(frames, 2);
  };
  std::vector<uint32_t> nodes;
  for (unsigned n = 1; n <= count; n++)
    nodes.push_back(node_of(n));
  const uint32_t end = stack_nodes_end();
  REQUIRE(end > count);
  stack_nodes_abandon();
  for (unsigned n = 1; n <= count; n++)
    REQUIRE(node_of(n) == nodes[n - 1]);
  REQUIRE(stack_nodes_end() == end);
}

// Callers as close to each other as a program's, each of a few zones.
std::vector<uint64_t> many_keys(unsigned seed) {
  std::mt19937 random(seed);
  std::vector<uint64_t> keys;
  for (uintptr_t caller = 0x555500000000 + seed * 0x100000000; keys.size() < 30000; caller += 5 + random() % 60)
    for (uint64_t some = 1 + random() % 5, z = 0; z < some; z++)
      keys.push_back(caller + zone_keys.of_class[random() % 8 + z * 8]);
  return keys;
}

TEST_CASE("the hash is half full before it grows, and what was forgotten hides nothing", "[site]") {
  heap_enter();
  locked guard(malloc_mtx);
  sites_forget_all();
  std::vector<uint64_t> forgotten;
  for (unsigned seed : {0, 1, 2, 3}) {
    std::vector<uint64_t> keys = many_keys(seed);
    for (size_t i = 0; i < keys.size(); i++)
      site_insert(keys[i], i + 1, false);
    REQUIRE((sites.mask / sizeof(site) + 1) <= 65536);
    for (size_t i = 0; i < keys.size(); i++)
      REQUIRE(site_look_up(keys[i]) == i + 1);
    for (size_t i = 0; i < keys.size(); i += 3) {
      site_insert(keys[i], i + 2, false);
      REQUIRE(site_look_up(keys[i]) == i + 2);
    }
    for (uint64_t key : forgotten)
      REQUIRE(site_look_up(key) == 0);
    sites_forget_all();
    for (uint64_t key : keys)
      REQUIRE(site_look_up(key) == 0);
    forgotten = keys;
    size_t taken = 0; // by nothing: at most what stands before the table's end
    for (uint64_t at = 0; at <= sites.mask; at += sizeof(site))
      taken += reinterpret_cast<const site *>(sites.base + at)->key != 0;
    REQUIRE(taken < 200);
  }
}

TEST_CASE("no two zones share a slot for the same caller", "[site]") {
  constexpr uintptr_t caller = 0x555555554321;
  for (unsigned a = 0; a <= zone_count; a++)
    for (unsigned b = 0; b < a; b++)
      REQUIRE(&site_direct(caller + zone_keys.of_class[a]) != &site_direct(caller + zone_keys.of_class[b]));
}
