// SPDX-License-Identifier: BSD-2-Clause
//
// MALLOC9_CONF: comma-separated key:value, read once by the constructor. What is not understood is one line on standard
// error each, and the default.
#pragma once

#include <cstdint>

#include "core/heap.h"

namespace m9 {

constexpr unsigned path_most = 4096;

struct configuration {
  heap_options heap;
  bool print_exit = false;
  bool audit_exit = false;
  int dump_signal = 0;       // 0: none
  bool keep_all = false;     // live files of processes that came to their end: of all, or
  bool keep_first = true;    // of the first
  bool dump_private = false; // in a folder that whoever set it removes when the process it started has ended
  uint32_t first_pid = 0;    // the process that was started, as its own constructor noted it
  // Shorter than path_most. Not in here, so that all that every start looks at is on one page.
  const char *dump = "";  // pattern; empty: none
  const char *types = ""; // file of rules; empty: none
  const char *stats = ""; // folder of live files; empty: none
};
extern constinit configuration conf; // (i) by the constructor

// Fills `to` from the value of the variable; prints what is wrong, and the list of keys for help:true.
void configuration_parse(configuration &to, const char *value);

} // namespace m9
