// SPDX-License-Identifier: BSD-2-Clause
//
// The curve over types: the same operations from few or from very many call sites. A site is a small function that
// calls malloc, assembled 65,536 times, 16 bytes each, so that site i lies at bench_sites + 16 * i and every call has
// a return address of its own, with unwind information as compiled functions have. Code made at run time would
// not do: an allocator may rightly treat that as one place.
#include "test/bench/workloads/workload.h"

#include <algorithm>
#include <bit>
#include <vector>

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

outcome types_curve(const options &o) {
  call_mix mix(std::clamp<size_t>(o.types, 1, site_count));
  std::vector<uint64_t *> items(10000);
  for (size_t i = 0; i < items.size(); i++)
    items[i] = mix.make(mix.pick(), i);
  // Every site once, so that the timed part holds no first calls.
  for (size_t i = 0; i < mix.types; i++)
    free(mix.make(i, i));
  outcome x;
  const uint64_t pairs = o.scaled(5e6);
  const uint64_t begin = thread_cpu_ns();
  for (uint64_t i = 0; i < pairs; i++) {
    uint64_t *&slot = items[mix.random.below(items.size())];
    x.check += *slot;
    free(slot);
    slot = mix.make(mix.pick(), i);
  }
  x.ns_median = x.ns_least = double(thread_cpu_ns() - begin) / double(pairs);
  for (uint64_t *p : items)
    free(p);
  return x;
}

} // namespace bench
