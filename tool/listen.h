// SPDX-License-Identifier: BSD-2-Clause
//
// Statistics of all processes of a folder over HTTP, as they are at each request, for those who collect metrics:
//   /metrics                 the text format of Prometheus, all processes
//   /debug/pprof/heap        pprof's profile, all processes together; ?pid=N: of one
//   /                        a list of the processes
// There is no encryption and no password: listen where only those can reach it who may read the files.
#pragma once

#include <string>
#include <vector>

#include "tool/groups.h"

namespace m9::tool {

struct listen_options {
  std::string address;              // "127.0.0.1:9105", "[::1]:9105"; port 0: any
  std::vector<std::string> folders; // of live files; none: where `malloc9 ps` looks
  std::string by = "type";
  uint64_t top = UINT64_MAX; // groups of each process
  naming_options names;
};

// Says where it listens on standard error, and never returns but by throwing error.
void listen_and_serve(const listen_options &options);

} // namespace m9::tool
