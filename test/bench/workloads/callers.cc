// SPDX-License-Identifier: BSD-2-Clause
//
// What it costs to find out who wanted memory: the same pairs through ever more allocation wrappers, and the first
// allocation of each of many functions. Both time themselves.
#include "test/bench/workloads/workload.h"

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

// Wrappers by their names. What follows each call keeps it from being a jump.
extern "C" {
#define BENCH_WRAPPER(name, inner)                                                                                     \
  [[gnu::noinline]] void *name(size_t n) {                                                                             \
    void *p = inner(n);                                                                                                \
    asm volatile("" : "+r"(p));                                                                                        \
    return p;                                                                                                          \
  }
BENCH_WRAPPER(bench1_malloc, malloc)
BENCH_WRAPPER(bench2_malloc, bench1_malloc)
BENCH_WRAPPER(bench3_malloc, bench2_malloc)
BENCH_WRAPPER(bench4_malloc, bench3_malloc)
BENCH_WRAPPER(bench5_malloc, bench4_malloc)
BENCH_WRAPPER(bench6_malloc, bench5_malloc)
}

namespace bench {

namespace {

using allocator = void *(*)(size_t);

[[gnu::noinline]] uint64_t pairs_by(allocator make, uint64_t pairs) {
  uint64_t check = 0;
  for (uint64_t i = 0; i < pairs; i++) {
    auto *p = static_cast<uint64_t *>(checked(make(64)));
    *p = i;
    asm volatile("" : "+r"(p)::"memory");
    check += *p;
    free(p);
  }
  return check;
}

constexpr size_t sight_count = 1000;

template <size_t N> [[gnu::noinline]] void *sight() {
  void *p = malloc(16 + N % 8 * 16);
  asm volatile("" : "+r"(p) : "i"(N));
  return p;
}

uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

template <size_t... N> void see_all(std::vector<double> &ns, std::index_sequence<N...>) {
  void *(*const sights[])() = {sight<N>...};
  for (const auto &see : sights) {
    const uint64_t begin = now_ns();
    void *p = see();
    ns.push_back(double(now_ns() - begin));
    free(checked(p));
  }
}

void note(outcome &x, std::vector<double> &ns) {
  std::sort(ns.begin(), ns.end());
  x.ns_median = ns[ns.size() / 2];
  x.ns_least = ns[0];
}

} // namespace

outcome wrapped(const options &o) {
  constexpr allocator by[] = {malloc,        bench1_malloc, bench2_malloc, bench3_malloc,
                              bench4_malloc, bench5_malloc, bench6_malloc};
  const uint64_t pairs = o.scaled(1e6);
  outcome x;
  std::vector<double> ns;
  for (int chunk = 0; chunk < 30; chunk++) {
    const uint64_t begin = thread_cpu_ns();
    x.check += pairs_by(by[std::min<size_t>(o.depth, std::size(by) - 1)], pairs);
    ns.push_back(double(thread_cpu_ns() - begin) / double(pairs));
  }
  note(x, ns);
  return x;
}

outcome first_sights(const options &) {
  std::vector<double> ns;
  ns.reserve(sight_count);
  outcome x;
  see_all(ns, std::make_index_sequence<sight_count>());
  x.check = ns.size();
  note(x, ns);
  return x;
}

} // namespace bench
