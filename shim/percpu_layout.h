// SPDX-License-Identifier: BSD-2-Clause
//
// Per-CPU memory as the verbs see it: one block of 4 MiB of addresses per CPU id, all in one reservation, read-only
// (and so zero) until the CPU is opened. Two blocks lie below the first: what a thread without rseq (cpu_id -1, -2)
// addresses. In a block:
//   0                    block_head
//   64 ..                caches to allocate from, one per size class: owner, counts, then `most` 32-bit indices
//   domain_bytes ..      for each domain, caches of what is freed here and belongs there, in the same order
//   cells_offset ..      counters, addressed by cell offsets that core/ hands out
// A domain is a set of CPUs that have slabs of their own, as in FreeBSD's UMA (there: NUMA domains). What a CPU frees
// of another domain's goes home in bulk, so that CPUs of different domains do not write to neighbouring items.
// Invariant: a cache whose capacity is not 0 belongs to an opened block, and in an opened block every cell that any
// tag uses is writable.
#pragma once

#include <cstddef>
#include <cstdint>

// For globals that the fast paths read: -fvisibility=hidden does not cover declarations, and without this each read
// goes through the global offset table.
#define M9_HIDDEN __attribute__((visibility("hidden")))

namespace m9 {

constexpr int percpu_shift = 22;
constexpr uint64_t percpu_block = uint64_t{1} << percpu_shift;
constexpr uint64_t percpu_blocks_below = 3; // the shared block, and those of cpu_id -2 and -1
constexpr int64_t percpu_shared = -int64_t(percpu_blocks_below * percpu_block); // from percpu_base
constexpr unsigned domain_count = 2;                                            // a power of two
constexpr uint32_t domain_bytes = 128 * 1024;
constexpr uint64_t cells_offset = (1 + domain_count) * domain_bytes;

struct block_head {
  uint64_t opened; // not 0 once the block may be written to
  uint32_t lock;   // the fallback's try-lock
};
static_assert(offsetof(block_head, opened) == 0); // the assembly compares the block's first word

// A cache, in memory, named by where `count` is: {uint64_t owner; uint32_t count, capacity, items[]}. `owner` says
// whose indices it holds, and changes only while the cache is stopped and empty. A count with the top bit set is
// stopped: pop sees it empty (negative), push sees it full (above any capacity).
constexpr uint32_t cache_stop = 0x80000000;
constexpr uint64_t cache_owner_bytes = 8; // in front of the count
constexpr uint64_t cache_items_offset = 8;

// Loads wait for older stores to addresses that agree in their lower 12 bits (Intel's manuals call it 4K aliasing), and
// pairs of malloc and free took up to three times as long where what every call reads had the page offset of what it
// writes. So all that is hot has its lines of a page; these are of what every call reads.
constexpr unsigned fast_line = 61, tables_line = 62, percpu_line = 63;
constexpr unsigned page_line(uint64_t address) { return unsigned(address / 64 % 64); }

struct alignas(4096) percpu_variables {
  char unused[percpu_line * 64 + 8];
  uint64_t base_below; // minus the address of CPU 0's block (i) once the process is ready
  uint64_t base;
  int64_t rseq_offset; // of struct rseq from the thread pointer (i)
  bool shared_used;    // something was, or is about to be, added to the shared block (a) relaxed
};
extern M9_HIDDEN percpu_variables percpu;

} // namespace m9
