// SPDX-License-Identifier: BSD-2-Clause
//
// A loaded file's program headers, as they lie in memory.
#pragma once

#include <cstdint>
#include <dlfcn.h>
#include <link.h>

namespace m9 {

struct program_headers {
  const ElfW(Phdr) * segments;
  unsigned count;
  uintptr_t base;       // load bias
  uintptr_t start, end; // all of its segments, holes between them included
};

// False: they are not where linkers put them.
bool program_headers_find(const dl_find_object &found, program_headers &headers);

} // namespace m9
