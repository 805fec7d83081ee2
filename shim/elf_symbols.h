// SPDX-License-Identifier: BSD-2-Clause
//
// The two places where a module's symbols lie: its file, with .symtab or, stripped, .dynsym alone, and .dynsym in its
// memory. The file is read by pread, never mapped: it may be cut short by others at any time. Nothing here allocates or
// locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <elf.h>

#include "shim/modules.h"

namespace m9 {

struct dynamic_symbols {
  const Elf64_Sym *symbols;
  const char *strings;
  size_t strings_size;
  size_t count;
};
// `strings` and their size alone: to count the symbols, all of the hash table is read.
bool dynamic_strings_of(const module_facts &facts, dynamic_symbols &table);
bool dynamic_symbols_of(const module_facts &facts, dynamic_symbols &table);

// A file whose symbols belong to a module: its build-id is the one in memory.
struct symbol_file {
  uint64_t table, count; // offset of the symbols, and how many there are
  bool dynamic;          // it is .dynsym
  uint64_t strings, strings_size;
  uint64_t device, inode, size; // what the file was when this was read
  int64_t changed_s, changed_ns;
};

// All return a descriptor or false, and leave none open otherwise.
bool symbol_file_open(const module_facts &facts, symbol_file &file, long &descriptor);
// Opens it again; false when it is not the same file any more.
bool symbol_file_reopen(const module_facts &facts, const symbol_file &file, long &descriptor);
void symbol_file_close(long descriptor);
// Bytes read, less than `size` at the end of the file or on an error.
size_t symbol_file_read(long descriptor, uint64_t offset, void *to, size_t size);

// Where a module's symbols and their names are read from.
struct symbol_source {
  symbol_file file;         // what is not in memory is there
  const Elf64_Sym *symbols; // in memory; nullptr: in the file
  uint64_t count;           // 0: there are none
  const char *strings;      // in memory; nullptr: in the file
  size_t strings_size;
};
// The file says how many there are, for which in memory all of a hash table would have to be read. Where it has no more
// than memory has, they are read there, and where there is no such file any more. `descriptor` is the file, open, or
// -1.
void symbol_source_find(const module_facts &facts, symbol_source &source, long &descriptor);

} // namespace m9
