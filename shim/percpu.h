// SPDX-License-Identifier: BSD-2-Clause
//
// Per-CPU memory and the verbs that change it: by rseq where glibc registered it, else by sched_getcpu and a try-lock
// per CPU (the fallback), else not at all: then every pop and push misses and nothing is counted here, which is how a
// process that shares our memory without rseq (vfork) and one that is not yet configured run.
//
// Verbs that miss have done nothing. The shared block takes what no CPU can be charged with, by atomic additions.
#pragma once

#include <cstdint>

#include "shim/percpu_layout.h"
#include "shim/verbs.h"

namespace m9 {

enum class verbs : uint32_t { none, rseq, fallback };

extern verbs percpu_verbs; // (i) once configured

// Reserves blocks for every CPU id that may appear. False: no address space.
bool percpu_reserve();
// Only the shared block, where address space is scarce.
bool percpu_reserve_shared();
// Whether glibc registered rseq and membarrier knows it; `reason` says why not.
bool percpu_rseq_usable(const char *&reason);
void percpu_use(verbs v);

int percpu_current();                                            // CPU id, or -1
unsigned percpu_domain(int cpu);                                 // 0 until CPUs have domains, and for -1
bool percpu_has_domains();                                       // whether they have
bool percpu_split_domains(verbs v);                              // from now on they have; false: they had, or cannot
uint64_t percpu_block_of(int cpu);                               // address; -1 is the shared block
bool percpu_open_range(int cpu, uint64_t offset, uint64_t size); // makes a part of a block writable
void percpu_mark_opened(int cpu);
bool percpu_is_opened(int cpu);
int percpu_next_opened(int after); // the next opened CPU id above `after`, or -1; start with -1

// Tests: pretend that ids up to n may appear (before the heap begins), and to run on this CPU (fallback only; -1 ends
// it).
void percpu_pretend_ids(int n);
void percpu_fake(int cpu);

// What `verbs.h` specifies, by the fallback.
namespace fallback {
bool pop_and_count(uint64_t cache, uint64_t cell, uint64_t &index);
bool push_and_count(uint64_t cache, uint64_t owner, uint64_t index, uint64_t cell);
bool add(uint64_t offset, uint64_t delta);
uint32_t grow(uint64_t cache, uint64_t owner, uint32_t first, uint32_t most);
uint32_t pop_many(uint64_t cache, uint64_t owner, uint32_t *to, uint32_t most);
uint32_t push_many(uint64_t cache, uint64_t owner, const uint32_t *from, uint32_t n);
} // namespace fallback

// The verbs as slow paths use them: `v` is what the calling thread may use now, `owner` whose indices they are (0: of
// caches that have one owner only).
[[gnu::always_inline]] inline bool percpu_pop_and_count(verbs v, uint64_t cache, uint64_t cell, uint64_t &index) {
  return v == verbs::rseq ? rseq::pop_and_count(cache, cell, index)
                          : v == verbs::fallback && fallback::pop_and_count(cache, cell, index);
}
[[gnu::always_inline]] inline bool percpu_push_and_count(verbs v, const uint32_t &cache, uint64_t owner, uint64_t index,
                                                         uint64_t cell) {
  constexpr uint64_t frees = 1; // a cell's second counter
  return v == verbs::rseq ? rseq::push_and_count(cache, owner, index, cell, frees)
                          : v == verbs::fallback && fallback::push_and_count(cache, owner, index, cell);
}
[[gnu::always_inline]] inline uint32_t percpu_grow(verbs v, const uint32_t &cache, uint64_t owner, uint32_t first,
                                                   uint32_t most) {
  return v == verbs::rseq       ? rseq::grow(cache, owner, first, most)
         : v == verbs::fallback ? fallback::grow(cache, owner, first, most)
                                : 0;
}
[[gnu::always_inline]] inline uint32_t percpu_pop_many(verbs v, const uint32_t &cache, uint64_t owner, uint32_t *to,
                                                       uint32_t most) {
  return v == verbs::rseq       ? rseq::pop_many(cache, owner, to, most)
         : v == verbs::fallback ? fallback::pop_many(cache, owner, to, most)
                                : 0;
}
[[gnu::always_inline]] inline uint32_t percpu_push_many(verbs v, const uint32_t &cache, uint64_t owner,
                                                        const uint32_t *from, uint32_t n) {
  return v == verbs::rseq       ? rseq::push_many(cache, owner, from, n)
         : v == verbs::fallback ? fallback::push_many(cache, owner, from, n)
                                : 0;
}

// Told of what percpu_add adds to the shared block; nullptr: nobody wants to know.
extern void (*percpu_shared_added)(uint64_t offset, uint64_t delta);

// False: nothing was ever added to the shared block, so it reads as zeros, and to look there would bring its pages in.
bool percpu_shared_is_used();
// Adds to a counter of this CPU or, where that is not possible, of the shared block. Always counts.
void percpu_add(verbs v, uint64_t offset, uint64_t delta);

// Empties any CPU's cache into `to`, which has room for all that it can hold, and gives it another owner if
// `next_owner` is one. Returns the number of indices. The caller holds the owners' locks, so that only one such thing
// happens at a time. False: it could not be stopped, and is as it was.
bool percpu_drain(verbs v, int cpu, uint32_t cache, uint32_t *to, uint32_t &count, uint64_t next_owner);

// Whose indices a cache holds; 0: nobody's yet. It may change unless the caller holds the owner's lock.
uint64_t percpu_cache_owner(int cpu, uint32_t cache);

// What a cache holds now; exact only while nobody uses it.
uint32_t percpu_cache_count(int cpu, uint32_t cache);

} // namespace m9
