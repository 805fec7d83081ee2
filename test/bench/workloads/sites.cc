// SPDX-License-Identifier: BSD-2-Clause
//
// The curve over types: the same operations from few or from very many call sites. A site is a small function that
// calls malloc, assembled 65,536 times, 16 bytes each, so that site i lies at bench_sites + 16 * i and every call has
// a return address of its own, with unwind information as compiled functions have. Code made at run time would
// not do: an allocator may rightly treat that as one place.
#include "test/bench/workloads/workload.h"

#include <algorithm>
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

} // namespace

// A program with N call sites does not go through them evenly: half of the calls come from one in 16. A site has one
// size.
outcome types_curve(const options &o) {
  const size_t types = std::clamp<size_t>(o.types, 1, site_count);
  const size_t busy = types / 16 ? types / 16 : 1;
  const size_table sizes(40);
  random_source random(41);
  std::vector<uint64_t *> items(10000);
  const auto make = [&](uint64_t value) {
    const uint64_t bits = random.next();
    const size_t i = random.below(bits & 1 ? busy : types);
    // Spread over the whole table, so that few types are no denser in the code than many.
    const size_t at = i * (site_count / types);
    auto *p = static_cast<uint64_t *>(checked(site_at(at)(sizes[at])));
    *p = value;
    return p;
  };
  for (size_t i = 0; i < items.size(); i++)
    items[i] = make(i);
  // Every site once, so that the timed part holds no first calls.
  for (size_t i = 0; i < types; i++)
    free(checked(site_at(i * (site_count / types))(sizes[i * (site_count / types)])));
  outcome x;
  const uint64_t pairs = o.scaled(5e6);
  const uint64_t begin = thread_cpu_ns();
  for (uint64_t i = 0; i < pairs; i++) {
    uint64_t *&slot = items[random.below(items.size())];
    x.check += *slot;
    free(slot);
    slot = make(i);
  }
  x.ns_median = x.ns_least = double(thread_cpu_ns() - begin) / double(pairs);
  for (uint64_t *p : items)
    free(p);
  return x;
}

} // namespace bench
