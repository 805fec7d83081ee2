// SPDX-License-Identifier: BSD-2-Clause
//
// The curve over types: the same operations from few or from very many call sites. A site is a small function that
// calls malloc, assembled 65,536 times, 16 bytes each, so that site i lies at bench_sites + 16 * i and every call has
// a return address of its own, with unwind information as compiled functions have. Code made at run time would
// not do: an allocator may rightly treat that as one place.
#include "test/bench/workloads/workload.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <vector>

#include <unistd.h>

namespace bench {

namespace {

constexpr size_t site_count = 65536;
constexpr size_t site_bytes = 16;

using site = void *(*)(size_t);

} // namespace

} // namespace bench

#ifdef __x86_64__
asm(R"(
  .pushsection .text
  .balign 16
  .globl bench_sites
  .hidden bench_sites
  .type bench_sites, @function
bench_sites:
  .rept 65536
  .cfi_startproc
  subq $8, %rsp
  .cfi_def_cfa_offset 16
  call malloc@PLT
  addq $8, %rsp
  .cfi_def_cfa_offset 8
  ret
  .balign 16, 0xcc
  .cfi_endproc
  .endr
  .size bench_sites, . - bench_sites
  .popsection
)");
#else
#error "the call sites of the types curve are written for x86-64"
#endif

extern "C" char bench_sites[];

namespace bench {

namespace {

site site_at(size_t i) { return reinterpret_cast<site>(reinterpret_cast<uintptr_t>(bench_sites) + i * site_bytes); }

// Calls are spread over the sites as in real programs, by Zipf's law: every doubling of the rank is called as often, so
// the first 10 of 60,000 sites make a fifth of the calls. Where a site lies in the code has nothing to do with its
// rank.
struct call_mix {
  size_t types;
  unsigned octaves; // how often types doubles from 1, rounded up
  size_table sizes{40};
  random_source random{41};

  explicit call_mix(size_t n) : types(n), octaves(unsigned(std::bit_width(n))) {}

  size_t pick() {
    for (;;) {
      const size_t first = size_t{1} << random.below(octaves);
      const size_t rank = first + random.below(first) - 1;
      if (rank < types)
        return rank;
    }
  }
  // A site has one size.
  uint64_t *make(size_t rank, uint64_t value) {
    const size_t at = rank * 40503 % site_count;
    auto *p = static_cast<uint64_t *>(checked(site_at(at)(sizes[at])));
    *p = value;
    return p;
  }
};

} // namespace

namespace {

// Items that are replaced at random, from as many call sites.
struct churn {
  call_mix mix;
  std::vector<uint64_t *> items = std::vector<uint64_t *>(10000);
  outcome x;

  explicit churn(const options &o) : mix(std::clamp<size_t>(o.types, 1, site_count)) {
    for (size_t i = 0; i < items.size(); i++)
      items[i] = mix.make(mix.pick(), i);
    // Every site once, so that the timed part holds no first calls.
    for (size_t i = 0; i < mix.types; i++)
      free(mix.make(i, i));
  }
  churn(const churn &) = delete;
  churn &operator=(const churn &) = delete;
  ~churn() {
    for (uint64_t *p : items)
      free(p);
  }

  // Nanoseconds of CPU time.
  uint64_t run(uint64_t pairs) {
    const uint64_t begin = thread_cpu_ns();
    for (uint64_t i = 0; i < pairs; i++) {
      uint64_t *&slot = items[mix.random.below(items.size())];
      x.check += *slot;
      free(slot);
      slot = mix.make(mix.pick(), i);
    }
    return thread_cpu_ns() - begin;
  }
};

} // namespace

outcome types_curve(const options &o) {
  churn work(o);
  const uint64_t pairs = o.scaled(5e6);
  work.x.ns_median = work.x.ns_least = double(work.run(pairs)) / double(pairs);
  return work.x;
}

outcome watched(const options &o) {
  churn work(o);
  static struct { uint64_t end, cpu; } parts[10000];
  const size_t count = std::min<size_t>(o.scaled(2500), std::size(parts));
  char go = 0;
  if (read(STDIN_FILENO, &go, 1) != 1)
    fail("nobody said to begin");
  for (size_t i = 0; i < count; i++) {
    parts[i].cpu = work.run(10000);
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    parts[i].end = uint64_t(now.tv_sec) * 1000000000u + uint64_t(now.tv_nsec);
  }
  for (size_t i = 0; i < count; i++)
    printf("%lu %lu\n", parts[i].end, parts[i].cpu);
  return work.x;
}

} // namespace bench
