// SPDX-License-Identifier: BSD-2-Clause
//
// The symbol that covers an address, from .dynsym in memory and .symtab of the file. A module's symbols are sorted into
// an index, in pages of its own, when it is first asked about: 8 bytes for one of .dynsym, 20 for one that only the
// file has; names stay where they are. The module must be loaded. `path` empty means the program itself, and is better
// than its name, which may be another file by now. No locks: the caller lets one thread in at a time.
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
// that starts last; of several that start there, one in .dynsym, then the first.
bool symbol_find(const module_facts &facts, uintptr_t address, symbol &found);

// Bytes mapped for indexes.
size_t symbols_bytes();

} // namespace m9
