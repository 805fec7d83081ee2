// SPDX-License-Identifier: BSD-2-Clause
//
// The verbs, by rseq with pauses between their instructions and by the fallback, hammered by more threads than CPUs
// with timer signals and migration, while caches change their owners: no index is lost, owned twice or found in a cache
// of another owner, and every counter equals what threads counted.
#include "shim/percpu.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <csignal>
#include <memory>
#include <sched.h>
#include <sys/time.h>
#include <thread>
#include <vector>

#include "core/cell.h"

using namespace m9;

namespace {

constexpr uint32_t cache = 64 + cache_owner_bytes;
constexpr uint32_t most = 100;
constexpr uint64_t cell = cells_offset + 64;
constexpr int threads = 6;
constexpr uint32_t indices = 400;
constexpr uint64_t owner_of(uint32_t index) { return index % 2 == 0 ? 0x1000 : 0x2000; }

void open_all() {
  static bool once = [] {
    REQUIRE(percpu_reserve());
    const char *why = "";
    REQUIRE(percpu_rseq_usable(why));
    for (int cpu = -1; cpu < int(std::thread::hardware_concurrency()); cpu++) {
      REQUIRE(percpu_open_range(cpu, 0, cells_offset + 4096));
      percpu_mark_opened(cpu);
    }
    return true;
  }();
  (void)once;
}

uint64_t total(uint64_t offset) {
  uint64_t sum = 0;
  int cpu = -1;
  do
    sum += *reinterpret_cast<uint64_t *>(percpu_block_of(cpu) + offset);
  while ((cpu = percpu_next_opened(cpu)) >= 0);
  return sum;
}

// Shared by the threads: who owns an index (0: a cache or the pool).
struct world {
  verbs v;
  std::vector<std::atomic<int>> owner = std::vector<std::atomic<int>>(indices);
  std::atomic<uint64_t> pops{0}, pushes{0}, adds{0}, doubles{0}, strangers{0};
};

void take(world &w, uint32_t index, int me) { w.doubles += w.owner[index].exchange(me) != 0; }
void leave(world &w, uint32_t index) { w.owner[index].store(0); }

void pop_one(world &w, std::vector<uint32_t> &mine, int me) {
  uint64_t x;
  if (!percpu_pop_and_count(w.v, cache, cell, x))
    return;
  w.pops++;
  take(w, uint32_t(x), me);
  mine.push_back(uint32_t(x));
}

void push_one(world &w, std::vector<uint32_t> &mine) {
  uint32_t index = mine.back();
  leave(w, index);
  if (!percpu_push_and_count(w.v, cache, owner_of(index), index, cell)) {
    take(w, index, -1);
    return;
  }
  w.pushes++;
  mine.pop_back();
}

void move_many(world &w, std::vector<uint32_t> &mine, int me, bool out) {
  uint32_t buffer[most];
  if (out) {
    uint64_t owner = owner_of(uint32_t(me));
    uint32_t n = percpu_pop_many(w.v, cache, owner, buffer, 7);
    for (uint32_t i = 0; i < n; i++) {
      w.strangers += owner_of(buffer[i]) != owner;
      take(w, buffer[i], me);
      mine.push_back(buffer[i]);
    }
    return;
  }
  uint32_t n = 0; // the newest that have one owner
  while (n < 7 && n < mine.size() && owner_of(mine[mine.size() - 1 - n]) == owner_of(mine.back()))
    n++;
  if (n == 0)
    return;
  std::copy(mine.end() - n, mine.end(), buffer);
  for (uint32_t i = 0; i < n; i++)
    leave(w, buffer[i]);
  uint32_t m = percpu_push_many(w.v, cache, owner_of(buffer[0]), buffer, n);
  for (uint32_t i = 0; i < n - m; i++)
    take(w, buffer[i], me);
  mine.resize(mine.size() - n);
  mine.insert(mine.end(), buffer, buffer + (n - m));
}

void work(world &w, std::vector<uint32_t> &mine, int me, int steps) {
  unsigned random = unsigned(me) * 7919;
  for (int i = 0; i < steps; i++) {
    random = random * 1664525 + 1013904223;
    switch ((random >> 16) % 8) {
    case 0:
      move_many(w, mine, me, (random >> 20) & 1);
      break;
    case 1:
      percpu_add(w.v, cell + 16, 3);
      w.adds += 3;
      break;
    case 2:
    case 3:
    case 4:
      if (!mine.empty()) {
        push_one(w, mine);
        break;
      }
      [[fallthrough]];
    default:
      pop_one(w, mine, me);
    }
    if (i % 256 == 0) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET((random >> 8) % std::thread::hardware_concurrency(), &one);
      sched_setaffinity(0, sizeof one, &one);
    }
  }
}

void hammer(verbs v, int steps, bool drains) {
  open_all();
  world w{v};
  uint64_t allocs = total(cell), frees = total(cell + 8), bytes = total(cell + 16);
  std::vector<std::vector<uint32_t>> mine(threads);
  for (uint32_t i = 0; i < indices; i++) {
    w.owner[i] = 1;
    mine[i % threads].push_back(i);
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> all;
  for (int t = 0; t < threads; t++)
    all.emplace_back([&, t] {
      percpu_grow(v, cache, owner_of(uint32_t(t)), 8, most);
      work(w, mine[size_t(t)], t + 1, steps);
    });
  std::vector<uint32_t> drained;
  std::thread drainer([&] {
    uint32_t buffer[most], turn = 0;
    while (drains && !stop)
      for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu)) {
        uint64_t owner = percpu_cache_owner(cpu, cache), next = owner_of(turn++ / 2);
        uint32_t n = 0;
        if (!owner) // the first to use it there may be about to make it theirs
          continue;
        percpu_drain(v, cpu, cache, buffer, n, turn % 2 == 0 ? next : 0);
        for (uint32_t i = 0; i < n; i++) {
          w.strangers += owner_of(buffer[i]) != owner;
          take(w, buffer[i], 99);
          drained.push_back(buffer[i]);
        }
        for (size_t left = drained.size(); left > 0; left--) { // most go back to a cache, if one of theirs is here
          uint32_t index = drained[left - 1];
          leave(w, index);
          if (percpu_push_many(v, cache, owner_of(index), &index, 1) == 1)
            drained.erase(drained.begin() + std::ptrdiff_t(left - 1));
          else
            take(w, index, 99);
        }
        std::this_thread::yield();
      }
  });
  for (auto &t : all)
    t.join();
  stop = true;
  drainer.join();
  std::vector<int> seen(indices);
  for (auto &list : mine)
    for (uint32_t i : list)
      seen[i]++;
  for (uint32_t i : drained)
    seen[i]++;
  uint32_t buffer[most];
  for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu)) {
    uint32_t n = 0;
    REQUIRE(percpu_drain(v, cpu, cache, buffer, n, 0));
    for (uint32_t i = 0; i < n; i++)
      seen[buffer[i]]++;
  }
  REQUIRE(w.doubles == 0);
  REQUIRE(w.strangers == 0);
  for (int n : seen)
    REQUIRE(n == 1);
  REQUIRE(w.pops > 1000);
  REQUIRE(w.pushes > 1000);
  REQUIRE(total(cell) - allocs == w.pops);
  REQUIRE(total(cell + 8) - frees == w.pushes);
  REQUIRE(total(cell + 16) - bytes == w.adds);
}

// Signals abort sections; the handler needs to do nothing.
struct timer {
  timer() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, nullptr);
    itimerval every{{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &every, nullptr);
  }
  ~timer() {
    itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
  }
};

} // namespace

TEST_CASE("rseq verbs lose nothing and count exactly", "[verbs]") {
  timer t;
  hammer(verbs::rseq, 200000, false);
}
TEST_CASE("rseq caches are drained from other CPUs", "[verbs]") {
  timer t;
  hammer(verbs::rseq, 100000, true);
}
TEST_CASE("fallback verbs lose nothing and count exactly", "[verbs]") {
  timer t;
  hammer(verbs::fallback, 100000, true);
}

TEST_CASE("verbs miss where a thread has no CPU", "[verbs]") {
  open_all();
  uint64_t none;
  REQUIRE(!percpu_pop_and_count(verbs::none, cache, cell, none));
  REQUIRE(!percpu_push_and_count(verbs::none, cache, owner_of(1), 1, cell));
  uint64_t before = total(cell + 24);
  percpu_add(verbs::none, cell + 24, 5); // the shared block has it
  REQUIRE(total(cell + 24) - before == 5);
}

TEST_CASE("a cache grows from its first capacity to its most", "[verbs]") {
  open_all();
  constexpr uint32_t other = 4096;
  for (verbs v : {verbs::rseq, verbs::fallback}) {
    uint32_t n = 0;
    for (int i = 0; i < 40; i++) // on whichever CPU
      n = percpu_grow(v, other, 1, 8, 20);
    REQUIRE((n == 8 || n == 16 || n == 20));
    REQUIRE(n == 20);
    for (int i = 0; i < 40; i++)
      REQUIRE(percpu_grow(v, other, 2, 8, 20) == 0); // it is another's
  }
}
