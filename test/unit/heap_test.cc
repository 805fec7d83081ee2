// SPDX-License-Identifier: BSD-2-Clause
//
// The allocator through its slow entry points, in each mode: contents kept, books balanced, memory bounded.
#include "core/heap.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <random>
#include <set>
#include <sys/mman.h>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include "core/audit.h"
#include "core/cell.h"
#include "core/decay.h"
#include "core/extent.h"
#include "core/keg.h"
#include "core/layout.h"
#include "core/malloc.h"
#include "core/malloc_type.h"

using namespace m9;

namespace {

struct block {
  unsigned char *p;
  size_t size;
  unsigned char mark;
};

bool intact(const block &b) {
  return b.size == 0 || (b.p[0] == b.mark && b.p[b.size - 1] == b.mark && b.p[b.size / 2] == b.mark);
}

// A frame whose return address is one of fifty.
call_frame call_site(unsigned n) {
  static uintptr_t stack[50][2];
  stack[n % 50][0] = reinterpret_cast<uintptr_t>(&intact) + n % 50;
  return {reinterpret_cast<uintptr_t>(&stack[n % 50][1]), 0};
}

void churn(unsigned seed, int steps) {
  std::mt19937 random(seed);
  std::vector<block> all;
  for (int i = 0; i < steps; i++) {
    if (all.size() < 500 || random() % 2) {
      size_t size = random() % 50 == 0 ? random() % 500000 : random() % (random() % 8 ? 300 : 70000);
      auto *p = static_cast<unsigned char *>(malloc_slow(size, call_site(unsigned(random()))));
      REQUIRE(p);
      REQUIRE(usable_size(p, "test") >= size);
      all.push_back({p, size, static_cast<unsigned char>(random())});
      memset(p, all.back().mark, size);
    } else {
      size_t n = random() % all.size();
      REQUIRE(intact(all[n]));
      free_slow(all[n].p);
      all[n] = all.back();
      all.pop_back();
    }
  }
  for (const block &b : all) {
    REQUIRE(intact(b));
    free_slow(b.p);
  }
}

void balanced(uint64_t items = 0) {
  audit_result r = audit();
  INFO((r.failure ? r.failure : "") << " expected " << r.expected << " found " << r.found);
  REQUIRE(r.failure == nullptr);
  REQUIRE(r.items == items);
}

// Bytes of a large block beyond those that its type counts.
size_t spare(void *p) {
  locked guard(extents_lock);
  const extent *e = extent_at(reinterpret_cast<uintptr_t>(p));
  return extent_bytes(*e) - extent_counted(*e);
}

// A block for `wanted` bytes that has some to spare, as one of `first` bytes was kept just before; nullptr: there was
// none in many tries (of which a purge or another CPU may spoil some).
void *served_by_kept(size_t first, size_t wanted) {
  decay_everything();
  for (int tries = 0; tries < 200; tries++) {
    free_slow(malloc_slow(64, call_site(1))); // what a CPU keeps begins with its first small block
    free_slow(malloc_slow(first, call_site(1)));
    void *p = malloc_slow(wanted, call_site(2));
    if (spare(p) != 0)
      return p;
    free_slow(p);
    decay_everything();
  }
  return nullptr;
}

uint64_t large_cached() {
  locked guard(extents_lock);
  return extents_totals().cached;
}

// Large blocks that a CPU kept serve requests of up to two classes less, and count as those.
void kept_serves_less() {
  if (layout_is_compact())
    return;                                          // nothing is kept
  REQUIRE(served_by_kept(131072, 70000) == nullptr); // three classes less
  balanced();
  void *p = served_by_kept(131072, 90000);
  REQUIRE(p);
  REQUIRE(spare(p) == 131072 - 98304);
  decay_everything();
  REQUIRE(usable_size(p, "test") == 98304);
  REQUIRE(large_cached() == 131072 - 98304);
  balanced(1);
  REQUIRE(realloc_in_place(p, 100000) == p); // what lies beyond these is a free extent now
  REQUIRE(usable_size(p, "test") == 114688);
  REQUIRE(large_cached() == 0);
  balanced(1);
  free_slow(p);
  p = served_by_kept(131072, 90000);
  REQUIRE(p);
  REQUIRE(realloc_in_place(p, 80000) == p);
  REQUIRE(usable_size(p, "test") == 81920);
  balanced(1);
  free_slow(p);
  p = served_by_kept(131072, 90000);
  REQUIRE(p);
  free_slow(p);
  balanced();
}

// What a child made by clone does with a keg whose owner is gone: all that may be half changed is made anew.
void spoil_and_abandon() M9_UNCHECKED {
  churn(3, 3000);
  std::vector<void *> many; // so many slabs that the sets have grown
  for (int i = 0; i < 20000; i++)
    many.push_back(malloc_slow(1000, call_site(1)));
  for (size_t i = 0; i < many.size(); i++)
    if (i % 1000 > 200)
      free_slow(many[i]);
  unsigned spoiled = 0;
  for (unsigned n = 0; n < zones_all; n++) {
    keg &k = kegs[n];
    locked guard(k.lock);
    if (!k.ready)
      continue;
    keg_trim_bucket(k, n, 0);
    for (uint32_t number = 0; number < k.slabs; number++) {
      slab &s = *keg_slab(k, number);
      spoiled += s.out > 0;
      s.out = uint16_t(s.out / 2 + number % 2);
      if (number % 3 == 0)
        k.available.remove(number);
    }
    k.items_out += 7;
    k.bucket_count = 1;
    keg_abandon(k, n);
  }
  REQUIRE(spoiled > 40);
  audit_result r = audit();
  INFO((r.failure ? r.failure : "") << " expected " << r.expected << " found " << r.found);
  REQUIRE(r.failure == nullptr);
  for (size_t i = 0; i < many.size(); i++)
    if (i % 1000 <= 200)
      free_slow(many[i]);
}

// The first slabs of all classes, and their tags, lie in what a few pages of page tables cover.
void classes_begin_together() {
  constexpr uintptr_t table = 2 * 1024 * 1024;
  std::set<uintptr_t> tables, directories, pages;
  for (unsigned c = 0; c < zone_count && !layout_is_compact(); c++) {
    const zone &z = zones[zone_of(c, 0)];
    uintptr_t lowest = z.base + (class_slab_items(c) - 1) * z.stride;
    auto tags = reinterpret_cast<uintptr_t>(z.tags), last = tags + 2 * class_slab_items(c) - 1;
    REQUIRE(tags - (z.base + class_size(c)) >= 4096); // a page is between them
    for (uintptr_t at : {lowest, tags, last}) {
      tables.insert(at / table);
      directories.insert(at / (table * 512));
    }
    pages.insert(last / 4096);
  }
  CHECK(tables.size() <= 14);
  CHECK(directories.size() <= 8);
  CHECK(pages.size() <= 24);
}

// Bursts of large items make a CPU keep more of them only where that is a small part of what is in use.
void many_kept_where_many_used() {
  if (layout_is_compact())
    return;
  unsigned c = class_of(16384);
  auto bursts = [](size_t items) {
    std::vector<void *> all(items);
    for (int i = 0; i < 20; i++) {
      for (void *&p : all)
        p = malloc_slow(16384, call_site(1));
      for (void *p : all)
        free_slow(p);
    }
  };
  bursts(4 * cache_modest(c));
  REQUIRE(kegs[zone_of(c, 0)].bucket_most == cache_modest(c));
  bursts(2 * cache_share * cache_modest(c));
  REQUIRE(kegs[zone_of(c, 0)].bucket_most == cache_most(c));
  REQUIRE(cache_most(c) > cache_modest(c));
  balanced();
}

void run_mode(bool use_rseq, format::run_mode expected) {
  churn(1, 2000); // mode boot
  heap_configure({use_rseq, 50});
  REQUIRE(heap_mode() == expected);
  many_kept_where_many_used();
  std::vector<std::thread> all;
  for (unsigned t = 0; t < 4; t++)
    all.emplace_back(churn, t, 60000);
  for (auto &t : all)
    t.join();
  balanced();
  kept_serves_less();
  classes_begin_together();
  spoil_and_abandon();
  balanced();
  decay_everything();
  balanced();
  REQUIRE(decay_idle() == 0);
}

size_t resident(uintptr_t address, size_t size) {
  std::vector<unsigned char> map(size / 4096);
  size_t pages = 0;
  if (mincore(reinterpret_cast<void *>(address), size, map.data()) == 0)
    for (unsigned char c : map)
      pages += c & 1;
  return pages * 4096;
}

} // namespace

TEST_CASE("heap, rseq", "[.][heap-rseq]") { run_mode(true, format::run_mode::rseq); }
TEST_CASE("heap, fallback", "[.][heap-fallback]") { run_mode(false, format::run_mode::fallback); }

TEST_CASE("heap, compact", "[.][heap-compact]") {
  rlimit limit{uint64_t{1} << 30, uint64_t{1} << 30};
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  run_mode(true, format::run_mode::compact);
  REQUIRE(layout_is_compact());
}

TEST_CASE("a heap that begins while a vfork child runs", "[.][heap-vfork]") {
  heap_configure({});
  process_share_begin();
  free_slow(malloc_slow(100, call_site(1)));
  CHECK(heap_mode() == format::run_mode::rseq);
  CHECK(fast.small_limit == 0);
  process_share_end();
  CHECK(fast.vfork_windows == 0);
  CHECK(fast.small_limit != 0);
}

TEST_CASE("sparse and high CPU ids cost at most 64 KiB each", "[.][heap-fake-cpus]") {
  percpu_pretend_ids(512);
  heap_configure({.rseq = false});
  for (int cpu : {0, 63, 511, 200}) {
    percpu_fake(cpu);
    std::vector<void *> all;
    for (unsigned i = 0; i < 200; i++) // a short run: every class, 200 calls
      all.push_back(malloc_slow(class_size(i % zone_count), call_site(i)));
    for (void *p : all)
      free_slow(p);
    REQUIRE(percpu_is_opened(cpu));
    CHECK(resident(percpu_block_of(cpu), percpu_block) <= 64 * 1024);
    CHECK(resident(percpu_block_of(cpu), percpu_block) > 0);
  }
  uint64_t allocs = 0, frees = 0;
  for (const malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t))
    for (int cpu : {0, 63, 511, 200}) {
      malloc_type_stats s = malloc_type_stats_read(*t, cpu);
      allocs += s.mts_numallocs;
      frees += s.mts_numfrees;
      REQUIRE(s.mts_memalloced >= s.mts_memfreed);
    }
  malloc_type_stats shared{};
  for (const malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t)) {
    malloc_type_stats s = malloc_type_stats_read(*t, -1);
    shared.mts_numallocs += s.mts_numallocs;
    shared.mts_numfrees += s.mts_numfrees;
  }
  REQUIRE(allocs + shared.mts_numallocs == 800);
  REQUIRE(frees + shared.mts_numfrees == 800);
  percpu_fake(-1);
  balanced();
}
