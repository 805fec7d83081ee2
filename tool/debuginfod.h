// SPDX-License-Identifier: BSD-2-Clause
//
// Debug files by build-id from the servers of DEBUGINFOD_URLS, through elfutils' libdebuginfod, which keeps what it
// fetched in the user's cache. The library (and curl with it) is loaded only when the variable is set. A server that
// sends nothing for DEBUGINFOD_TIMEOUT seconds, 10 if not set, is given up, and none is asked again. While it works, a
// line on standard error says so, if that is a terminal.
#pragma once

#include <string>
#include <vector>

namespace m9::tool {

class debuginfod {
public:
  explicit debuginfod(std::vector<std::string> &problem_lines);
  ~debuginfod();
  debuginfod(const debuginfod &) = delete;
  debuginfod &operator=(const debuginfod &) = delete;

  // The path of the file, or nothing. `module` is for the progress line.
  std::string find(const std::string &build_id, const std::string &module);

private:
  std::vector<std::string> &problems;
  void *library = nullptr;
  void *client = nullptr;
  bool off = false;
};

} // namespace m9::tool
