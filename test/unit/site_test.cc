// SPDX-License-Identifier: BSD-2-Clause
//
// The call-site table: what it forgets when a module goes, and that forgetting takes no memory. Types and cells: what a
// child finds that another thread's death left them to.
#include "core/site.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <map>
#include <random>
#include <thread>
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

// In the hash.
unsigned entries() {
  unsigned count = 0;
  for (uint64_t at = 0; at <= sites.mask; at += sizeof(site))
    count += reinterpret_cast<const site *>(sites.base + at)->key != 0;
  return count;
}

} // namespace

TEST_CASE("who reads while entries move finds the right place or none", "[site]") {
  heap_enter();
  locked guard(malloc_mtx);
  auto key = [](unsigned n) { return uint64_t{0x123400000000} + n * 24 + frame_key; };
  auto place = [](unsigned n) { return frame_known | frame_wrapper | (n + 1) * 8; };
  constexpr unsigned stay = 40, gone_each = 200; // of 512 places
  REQUIRE(sites.mask / sizeof(site) + 1 == 512);
  std::atomic<bool> end = false;
  uint64_t right = 0, wrong = 0;
  std::thread reader([&] {
    while (!end)
      for (unsigned n = 0; n < stay; n++) {
        uint64_t read = site_look_up(key(n));
        right += read == place(n);
        wrong += read != place(n) && read != 0;
      }
  });
  for (unsigned from = 0; from < 3000 * gone_each; from += gone_each) {
    module *program = module_get(module_number(reinterpret_cast<uintptr_t>(&key_of)));
    sites_forget_all();
    insert(from, from + gone_each);
    for (unsigned n = 0; n < stay; n++) // some of them behind what goes
      site_insert(key(n), place(n), false);
    program->unloaded = true;
    sites_forget_gone();
  }
  end = true;
  reader.join();
  CHECK(right > 100000);
  CHECK(wrong == 0);
}

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

// As a program does that loads and unloads plugins.
TEST_CASE("what stays is found after others are forgotten again and again, and they leave nothing", "[site]") {
  heap_enter();
  locked guard(malloc_mtx);
  sites_forget_all();
  auto other_key = [](unsigned n) { return uint64_t{0x123400000000} + n * 24 + frame_key; };
  constexpr unsigned others = 3000, gone_each = 500;
  for (unsigned n = 0; n < others; n++)
    site_insert(other_key(n), frame_known | frame_wrapper | 16, false);
  for (unsigned from = 0; from < 100 * gone_each; from += gone_each) {
    module *program = module_get(module_number(reinterpret_cast<uintptr_t>(&key_of)));
    insert(from, from + gone_each);
    REQUIRE(found(from, from + gone_each) == gone_each);
    program->unloaded = true;
    sites_forget_gone();
    REQUIRE(found(from, from + gone_each) == 0);
    REQUIRE(entries() == others);
    for (unsigned n = 0; n < others; n++)
      REQUIRE(site_look_up(other_key(n)) == (frame_known | frame_wrapper | 16));
  }
  REQUIRE((sites.mask / sizeof(site) + 1) <= 8192);
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
    REQUIRE(entries() == 0);
  }
}

TEST_CASE("no two zones share a slot for the same caller", "[site]") {
  constexpr uintptr_t caller = 0x555555554321;
  for (unsigned a = 0; a <= zone_count; a++)
    for (unsigned b = 0; b < a; b++)
      REQUIRE(&site_direct(caller + zone_keys.of_class[a]) != &site_direct(caller + zone_keys.of_class[b]));
}
