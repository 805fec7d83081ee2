// SPDX-License-Identifier: BSD-2-Clause
//
// The program's own books: what each of its call sites allocated and what became of those items, counted by the program
// itself from its calls and malloc_usable_size alone. A context is a thread's normal flow or its signal handler; each
// has counters of its own, so that counting needs no lock and no atomic. Allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace books {

struct totals {
  uint64_t allocs;      // calls that returned a block
  uint64_t frees;       // blocks of this site that were given back, wherever that was done
  uint64_t bytes;       // usable bytes allocated, with the growth of blocks that stayed in place
  uint64_t bytes_freed; // usable bytes given back, with the shrinking of blocks that stayed in place
};

constexpr uint32_t max_sites = 1200;
constexpr uint32_t max_contexts = 40;

// One block that the program holds. `site` is its owner: where it was allocated or last moved by realloc.
struct item {
  unsigned char *data;
  size_t size;   // bytes asked for
  size_t usable; // malloc_usable_size
  uint32_t site;
  uint32_t seed; // of the pattern in it
};

extern totals counts[max_contexts][max_sites];
extern uint64_t failures; // expectations that did not hold

void fail(const char *what, uint64_t value);

// Books a new block, fills its ends with a pattern, and says what to hold.
item note_alloc(uint32_t context, uint32_t site, void *data, size_t size, uint32_t seed);
// To be called before the block is given back: checks pattern and usable size, then books it.
void note_free(uint32_t context, const item &held);
// After realloc: a block that moved belongs to `site`; one that stayed keeps its owner.
item note_realloc(uint32_t context, uint32_t site, const item &old, void *data, size_t size, uint32_t seed);
void check_zero(const void *data, size_t size);
void check_pattern(const item &held, size_t size);

// Writes {"failures": N, "how": HOW, "sites": {"MODULE!FUNCTION": [allocs, frees, bytes, bytes_freed], ...}}.
void write_file(const char *path, const char *how, const char *const *site_names, uint32_t sites);

} // namespace books
