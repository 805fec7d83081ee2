// SPDX-License-Identifier: BSD-2-Clause
//
// The call-site table: what it forgets when a module goes, and that forgetting takes no memory.
#include "core/site.h"

#include <catch2/catch.hpp>

#include "core/chain.h"
#include "core/heap.h"
#include "core/module.h"

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

TEST_CASE("no two zones share a slot for the same caller", "[site]") {
  constexpr uintptr_t caller = 0x555555554321;
  for (unsigned a = 0; a <= zone_count; a++)
    for (unsigned b = 0; b < a; b++)
      REQUIRE(&site_direct(caller + zone_keys.of_class[a]) != &site_direct(caller + zone_keys.of_class[b]));
}
