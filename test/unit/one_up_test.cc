// SPDX-License-Identifier: BSD-2-Clause
//
// Sites one step above a wrapper, in the direct table: found only where the step leads to them, wherever it may lead;
// two to a slot; and forgotten with what they lie in.
#include <sys/mman.h>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "core/cell.h"
#include "core/chain.h"
#include "core/heap.h"
#include "core/malloc_type.h"
#include "core/module.h"
#include "core/site.h"
#include "core/walk_cache.h"

using namespace m9;

namespace {

constexpr unsigned zone_tested = 3;
constexpr uint64_t zone_key = zone_keys.of_class[zone_tested];

// Return addresses, all in this program: of the same slot in the direct table when `n` is the same.
uintptr_t address_of(unsigned n, unsigned slot) {
  uintptr_t here = reinterpret_cast<uintptr_t>(&address_of) & ~uintptr_t{0xffff};
  return here + uintptr_t{n} * 0x10000 + slot * sizeof(site);
}

// A call from a wrapper: `words` above where its frame begins stands who called the wrapper.
struct stack {
  alignas(4096) std::array<uintptr_t, 64> words{};
  stack(uintptr_t wrapper, unsigned above, uintptr_t caller) {
    words[1] = wrapper;
    words[2 + above] = caller;
  }
  call_frame frame(int rbp_above = 0) const {
    return {reinterpret_cast<uintptr_t>(&words[2]), reinterpret_cast<uintptr_t>(&words[2]) + uintptr_t(rbp_above) * 8};
  }
};

uint64_t add(uintptr_t caller) M9_REQUIRES(malloc_mtx) {
  uint64_t cell = cell_for(*malloc_type_of(caller), zone_tested);
  uint64_t place = place_of(cell_tag(zone_tested, cell), cell) | place_ends;
  site_insert(caller + zone_key, place, false);
  return place;
}

uint64_t added(uintptr_t caller) {
  heap_enter();
  locked guard(malloc_mtx);
  return add(caller);
}

uint64_t found(call_frame f) {
  const site *s = site_one_up(f, zone_key);
  return s ? s->place : 0;
}

// The sites of this program itself, where the system has put them, may want the same slots.
void start() {
  heap_enter();
  locked guard(malloc_mtx);
  sites_forget_all();
}

bool site_promote_now(uintptr_t wrapper, uint64_t step, uintptr_t caller, uint64_t zone, uint64_t place) {
  return site_promote(wrapper, step, caller, zone, place, walk_generation());
}

// As malloc does: what is known of this call, and if it is nothing, what can be found.
struct seen {
  uint64_t at_once, on_the_way, at_last;
};
[[gnu::noinline, gnu::noclone]] seen allocates(bool slowly) {
  const auto *frame = static_cast<const uintptr_t *>(__builtin_frame_address(0));
  call_frame f{reinterpret_cast<uintptr_t>(frame + 2), *frame};
  seen s{found(f), 0, 0};
  if (slowly || (!s.at_once && !(s.on_the_way = chain_place(f, zone_key))))
    s.at_last = site_find(f, zone_tested);
  return s;
}
volatile int after;
extern "C" [[gnu::noinline, gnu::noclone]] seen xmalloc(bool slowly) { // a wrapper by its name
  seen s = allocates(slowly);
  after = 1;
  return s;
}
[[gnu::noinline, gnu::noclone]] seen wants_memory(bool slowly = false) {
  seen s = xmalloc(slowly);
  after = 2;
  return s;
}

} // namespace

TEST_CASE("a site gets its slot when it allocates for the second time", "[one-up]") {
  start();
  std::array<seen, 4> calls{};
  for (seen &s : calls)
    s = wants_memory(); // one site
  const uint64_t place = calls[0].at_last;
  REQUIRE((place & place_ends) != 0);
  CHECK((calls[0].at_once == 0 && calls[0].on_the_way == 0));
  CHECK((calls[1].at_once == 0 && calls[1].on_the_way == place));
  CHECK(calls[2].at_once == place);
  CHECK(calls[3].at_once == place);
  const auto wants = reinterpret_cast<uintptr_t>(&wants_memory);
  const uintptr_t site_address = cell_find(place_cell(place))->type->ks_handle->address;
  CHECK((site_address > wants && site_address < wants + 256));
  locked guard(malloc_mtx); // slow paths, too, find it without
  CHECK(wants_memory(true).at_last == place);
  CHECK(malloc_type_ends_chains(site_address));
  CHECK_FALSE(malloc_type_ends_chains(site_address + 1));
}

TEST_CASE("a site is found one step up", "[one-up]") {
  start();
  const uintptr_t wrapper = address_of(0, 1), caller = address_of(0, 2), other = address_of(0, 3);
  const uint64_t place = added(caller), place_of_other = added(other);
  stack s(wrapper, 5, caller), t(wrapper, 5, other), moved(wrapper, 6, caller);
  CHECK(found(s.frame()) == 0);
  CHECK_FALSE(site_promote_now(wrapper, 5 * 8, caller, zone_key, place + 1)); // not what the table has
  CHECK(found(s.frame()) == 0);
  REQUIRE(site_promote_now(wrapper, 5 * 8, caller, zone_key, place));
  {
    locked guard(malloc_mtx);
    REQUIRE(
        site_promote_now(wrapper, 5 * 8, caller, zone_key, place)); // once more: nothing is done, and nothing locked
  }
  CHECK(found(s.frame()) == place);
  CHECK(found(t.frame()) == 0); // has no slot yet
  CHECK(found(moved.frame()) == 0);
  CHECK(found(stack(other, 5, caller).frame()) == 0); // no wrapper
  CHECK(site_one_up(s.frame(), zone_keys.of_class[zone_tested + 1]) == nullptr);
  REQUIRE(site_promote_now(wrapper, 5 * 8, other, zone_key, place_of_other));
  CHECK(found(t.frame()) == place_of_other);
  CHECK(found(s.frame()) == place);
}

TEST_CASE("a site is found by rbp", "[one-up]") {
  start();
  const uintptr_t wrapper = address_of(1, 5), caller = address_of(1, 6);
  const uint64_t place = added(caller);
  stack s(wrapper, 11, caller);
  REQUIRE(site_promote_now(wrapper, 8 | one_up_by_rbp, caller, zone_key, place));
  CHECK(found(s.frame(10)) == place);
  CHECK(found(s.frame(9)) == 0);
  CHECK(found(s.frame(11)) == 0);
  // Nowhere near the stack: nothing is read there.
  call_frame f = s.frame(10);
  for (uintptr_t rbp : {uintptr_t{0}, uintptr_t{8}, f.rbp + 1, f.rbp + 4, f.rbp - 12 * 8, f.rbp + 65536, f.rbp - 65536,
                        ~uintptr_t{0}, uintptr_t{1} << 63, f.rbp ^ uintptr_t{1} << 47})
    CHECK(found({f.cfa, rbp}) == 0);
}

TEST_CASE("a step to another page is made where it is known to be there", "[one-up]") {
  start();
  const uintptr_t wrapper = address_of(2, 7), by_rbp = address_of(2, 9), caller = address_of(2, 8);
  const uint64_t place = added(caller);
  auto *pages =
      static_cast<uintptr_t *>(mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(pages != MAP_FAILED);
  auto *at = reinterpret_cast<std::byte *>(pages) + 4096 - 16;
  call_frame f{reinterpret_cast<uintptr_t>(at), reinterpret_cast<uintptr_t>(at) + 24};
  pages[509] = wrapper;                                   // right below
  *reinterpret_cast<uintptr_t *>(f.cfa + 4 * 8) = caller; // on the next page
  REQUIRE(site_promote_now(wrapper, 4 * 8, caller, zone_key, place));
  REQUIRE(site_promote_now(by_rbp, 8 | one_up_by_rbp, caller, zone_key, place));
  for (uintptr_t first : {wrapper, by_rbp}) {
    pages[509] = first;
    stack_forget();
    CHECK(found(f) == 0);
    REQUIRE(stack_readable(f.cfa + 32, f.cfa));
    CHECK(found(f) == place);
    if (first == by_rbp) { // what was asked for ends before this
      *reinterpret_cast<uintptr_t *>(f.cfa + 4 * 8 + 4096) = caller;
      CHECK(found({f.cfa, f.rbp + 4096}) == 0);
    }
    stack_forget();
    CHECK(found(f) == 0);
  }
  // Known to be there, of the page below: this one may be gone.
  REQUIRE(stack_readable(f.cfa + 32, f.cfa));
  REQUIRE(mprotect(reinterpret_cast<std::byte *>(pages) + 8192, 4096, PROT_NONE) == 0);
  pages[1021] = wrapper;
  f = {f.cfa + 4096, f.rbp + 4096};
  CHECK(found(f) == 0);
  munmap(pages, 3 * 4096);
}

TEST_CASE("two sites share a slot, and no third", "[one-up]") {
  start();
  const uintptr_t wrapper = address_of(3, 20);
  uint64_t places[3];
  unsigned n = 0;
  for (uint64_t &place : places)
    place = added(address_of(3 + n++, 22));
  auto promote = [&](unsigned i, uint64_t step) {
    return site_promote_now(step ? wrapper : address_of(3 + i, 22), step, address_of(3 + i, 22), zone_key, places[i]);
  };
  auto find = [&](unsigned i) { return found(stack(wrapper, 5, address_of(3 + i, 22)).frame()); };
  REQUIRE(promote(0, 5 * 8));
  CHECK_FALSE(promote(1, 0)); // malloc itself looks at the slot alone
  REQUIRE(promote(1, 5 * 8));
  CHECK_FALSE(promote(2, 5 * 8));
  CHECK(find(0) == places[0]);
  CHECK(find(1) == places[1]);
  CHECK(find(2) == 0);
  // The wrapper's own slot is another's.
  CHECK_FALSE(site_promote_now(address_of(7, 22), 5 * 8, address_of(3, 22), zone_key, places[0]));
}

TEST_CASE("a site whose slot is another's is found in the table behind", "[one-up]") {
  start();
  const uintptr_t first = address_of(11, 50), second = address_of(12, 50), wrapper = address_of(13, 50);
  uint64_t place = added(first), displaced = added(second);
  auto look = [](uintptr_t caller) {
    stack s(caller, 5, 0);
    return site_displaced(s.frame(), zone_key);
  };
  CHECK(look(second) == 0); // may have the slot
  REQUIRE(site_promote_now(first, no_step, first, zone_key, place));
  CHECK(look(second) == displaced);
  CHECK(look(wrapper) == 0); // nothing is known
  {
    locked guard(malloc_mtx);
    site_insert(wrapper + zone_key, place & ~place_ends, false);
  }
  CHECK(look(wrapper) == 0); // it does not end there
  {
    locked guard(malloc_mtx);
    sites_forget_all();
  }
  CHECK(look(second) == 0);
}

TEST_CASE("steps and sites are forgotten", "[one-up]") {
  start();
  const uintptr_t wrapper = address_of(9, 30), caller = address_of(9, 31);
  uint64_t place = added(caller);
  stack s(wrapper, 5, caller);
  auto entries = [] {
    unsigned n = 0;
    for (const site &e : lookups.direct)
      n += e.key != 0;
    return n;
  };
  auto promoted = [&] {
    return site_promote_now(wrapper, 5 * 8, caller, zone_key, place) && found(s.frame()) == place;
  };
  REQUIRE(promoted());
  {
    locked guard(malloc_mtx);
    sites_forget_gone(); // all of it is still loaded
    CHECK(found(s.frame()) == place);
    sites_forget_all();
  }
  CHECK(entries() == 0);
  CHECK(found(s.frame()) == 0);
  CHECK_FALSE(promoted());
  REQUIRE(added(caller) == place);
  REQUIRE(promoted());
  // A wrapper in another module.
  const uintptr_t elsewhere = reinterpret_cast<uintptr_t>(&std::terminate);
  stack t(elsewhere, 7, caller);
  REQUIRE(site_promote_now(elsewhere, 7 * 8, caller, zone_key, place));
  REQUIRE(found(t.frame()) == place);
  locked guard(malloc_mtx);
  module *other = module_get(module_number(elsewhere)), *program = module_get(module_number(caller));
  REQUIRE(other != program);
  other->unloaded = true;
  sites_forget_gone();
  CHECK(found(t.frame()) == 0);
  CHECK(found(s.frame()) == place);
  other->unloaded = false;
  program->unloaded = malloc_type_of(caller)->ks_handle->gone = true;
  sites_forget_gone();
  CHECK(entries() == 0);
  CHECK(found(s.frame()) == 0);
  program->unloaded = false;
}

TEST_CASE("what was found before sites are forgotten gets no slot", "[one-up]") {
  start();
  const uintptr_t wrapper = address_of(10, 40), caller = address_of(10, 41);
  stack s(wrapper, 5, caller);
  uint64_t place = added(caller);
  uint32_t generation = walk_generation();
  {
    locked guard(malloc_mtx);
    sites_forget_all();
  }
  REQUIRE(added(caller) == place);
  CHECK_FALSE(site_promote(wrapper, 5 * 8, caller, zone_key, place, generation));
  CHECK(found(s.frame()) == 0);
  // A slot that somebody is writing to belongs to him, and he learns of it.
  site &slot = site_direct(caller + zone_key);
  slot.key = 1;
  {
    locked guard(malloc_mtx);
    sites_forget_all();
  }
  CHECK(slot.key == 2);
  REQUIRE(added(caller) == place);
  CHECK_FALSE(site_promote_now(caller, no_step, caller, zone_key, place));
  CHECK(slot.key == 2);
  slot.key = 0;

  // Threads that promote all the time, each with what it has just looked up.
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> done{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; t++)
    threads.emplace_back([&] {
      while (!stop) {
        uint32_t now = walk_generation();
        if (uint64_t known = site_look_up(caller + zone_key))
          done += site_promote(wrapper, 5 * 8, caller, zone_key, known, now);
      }
    });
  uint64_t wrong = 0, seen = 0;
  for (unsigned round = 0; round < 3000; round++) {
    REQUIRE(added(caller) == place);
    for (uint64_t before = done, i = 0; done == before && i < 100000; i++)
      seen += found(s.frame()) == place;
    {
      locked guard(malloc_mtx);
      sites_forget_all();
    }
    for (unsigned i = 0; i < 200; i++)
      wrong += found(s.frame()) != 0;
  }
  stop = true;
  for (auto &t : threads)
    t.join();
  CHECK(wrong == 0);
  CHECK(done > 1000);
  CHECK(seen > 0);
}
