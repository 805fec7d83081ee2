// SPDX-License-Identifier: BSD-2-Clause
//
// What a forked child took over: the counters of all cells, summed over all CPUs, as they were when the child began.
// With them its statistics tell its own operations from those of its parents. A child of the child has a copy of its
// own.
#pragma once

#include "core/cell.h"

namespace m9 {

// In a child, while it has one thread and has counted nothing. One pass over the cells in use. False: no memory.
bool inherited_take();

// Where the counters are a parent's that goes on: drops the counts of cells that this process does not know.
void inherited_forget_unknown();
// The same in two steps, for counters that do not stay as they were at the fork: in the parent, under all locks, and in
// the child. False: no memory.
bool inherited_prepare();
void inherited_add(uint64_t cell, uint64_t delta); // in between
bool inherited_adopt();
void inherited_copy(unsigned w, uint64_t *to); // the sums of a window's cells, laid out as they are

bool inherited_is_known();
uint64_t inherited_shared(); // operations that were charged to no CPU
// Zeros for a cell that was made since.
cell_sums inherited_read(uint64_t cell, unsigned c);

} // namespace m9
