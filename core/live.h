// SPDX-License-Identifier: BSD-2-Clause
//
// Live statistics: the cells of all blocks lie in a file that anybody who may read it sums up, while the process runs
// and after it was killed. Names, types and cells are in it from the moment that they are made. doc/design.md, "Live
// files", says how it is laid out; core/live_index.* writes what is not counters.
//
// Where a part cannot be had (a full file system), it is private memory, counted as ever, and the file says so.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/cell.h"

namespace m9 {

struct live_about {
  const char *folder, *program, *command; // kept by reference
  uint64_t start_ns;
};

// Once, when the heap is configured; later threads and children follow. 0, or a negated errno: counting goes on in
// private memory. `later`: not at once, but as children do.
long live_start(const live_about &about, bool later);
bool live_wanted(); // this process or a parent of it was told to

// fork. In the parent, under all locks: keeps for the child what was counted so far. In a child, before it counts:
// takes it off its parent's file, into private memory. Later, while no thread counts: gives it a file of its own.
void live_fork_prepare();
void live_fork_done(); // in the parent
void live_child() M9_REQUIRES(malloc_mtx);
void live_begin() M9_REQUIRES(malloc_mtx);

// In its folder; makes it if it is still to be made. nullptr: there is none.
const char *live_file_name();

// At the end of a process: says that it came to it, and removes the file if it is not to be kept.
void live_end(bool keep);

// For core/cell.cc. Takes the cells of a CPU that is about to be opened into the file, all that are open on others;
// opens parts of them, before anything counts there; and says that the CPU is open.
bool live_cpu_opening(int cpu) M9_REQUIRES(malloc_mtx);
bool live_open_range(int cpu, uint32_t offset, uint32_t size) M9_REQUIRES(malloc_mtx);
void live_cpu_opened(int cpu) M9_REQUIRES(malloc_mtx);

} // namespace m9
