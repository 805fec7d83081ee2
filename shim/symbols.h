// SPDX-License-Identifier: BSD-2-Clause
//
// The symbol that covers an address, from .dynsym in memory or .symtab of the file. At the first question about a
// module all of its symbols are looked at, if they are not too many, at the second they get an index
// (shim/symbol_index.h); names stay where they are. The module must be loaded. `path` empty means the program itself,
// and is better than its name, which may be another file by now. No locks: the caller lets one thread in at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shim/modules.h"

namespace m9 {

struct symbol {
  uintptr_t start;
  size_t size;
  uintptr_t from, until; // addresses of which all has been said, too: the same symbol covers those in between
  char name[256];        // as it is in the file (mangled), cut to fit
};

// For a return address, ask for the byte before it. False: no symbol covers the address. Of several that do, the one
// that starts last; of several that start there, a global one, then the one whose name comes first in the file.
bool symbol_find(const module_facts &facts, uintptr_t address, symbol &found);

// Bytes mapped for indexes.
size_t symbols_bytes();

} // namespace m9
