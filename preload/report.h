// SPDX-License-Identifier: BSD-2-Clause
//
// What the library writes: the table, the dump, the audit's line. Called at exit, from malloc_stats, and by the dump
// signal's handler, so nothing here allocates from the heap it reports on.
#pragma once

#include <cstdint>

#include "preload/configuration.h"

namespace m9 {

// Once, by the constructor. `argv` as the kernel gave it.
void report_start(int argc, char **argv);

// Begins the live file that was asked for.
void report_live_start();

// Keeps the statistics beside the live file. False: there is none, or the name is bad.
bool report_mark(const char *name);

void report_table(); // on standard error
void report_dump();  // to the configured path; one line on standard error if it cannot be written
// All that was asked for, once in the life of a process.
void report_exit();
// The same from _exit: nothing where that would not be safe, and no audit, as threads go on.
void report_quick_exit();

struct report_totals {
  uint64_t live_bytes, live_blocks;
};
report_totals report_total();

} // namespace m9
