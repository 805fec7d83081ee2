// SPDX-License-Identifier: BSD-2-Clause
//
// The names of generated code, as runtimes tell them to perf: /tmp/perf-PID.map, lines of "START SIZE NAME" in
// hexadecimal. Only a file of this process counts: its owner is the caller or root, and it was last written after the
// process began.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace m9::tool {

class jit_map {
public:
  jit_map(const std::string &path, uint64_t process_start_ns);

  // The function that covers the address, of several the one that was told last; nothing: none does.
  std::string at(uint64_t address) const;
  // The only function in a range; nothing: there are none or several.
  std::string only(uint64_t start, uint64_t end) const;

private:
  struct entry {
    uint64_t start, size;
    std::string name;
  };
  std::vector<entry> entries; // as told
};

} // namespace m9::tool
