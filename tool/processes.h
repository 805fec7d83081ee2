// SPDX-License-Identifier: BSD-2-Clause
//
// The processes that count in live files, and what is left of those that did.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tool/live_folder.h"

namespace m9::tool {

struct process {
  live_name name;
  std::string program, mode;
  std::string state;   // "alive"; "ended", by itself; "died", or became another program by exec
  std::string problem; // not empty: it could not be read
  uint64_t live_bytes = 0, allocations = 0, age_s = 0;
  bool incomplete = false;
  std::vector<std::string> marks;
};

// `folder` alone, or without a name those of the usual ones that are there.
std::vector<std::string> process_folders(const std::string &folder);
// By pid. Throws error as live_list() does.
std::vector<process> processes_in(const std::string &folder);

extern const char *const process_heading;
std::string process_line(const process &p);

} // namespace m9::tool
