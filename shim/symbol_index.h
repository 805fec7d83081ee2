// SPDX-License-Identifier: BSD-2-Clause
//
// Which of a module's symbols covers an address: by going through all of them, which takes no memory, or by an index,
// which takes pages of its own, 6 bytes for each symbol in memory or 14 for one of a file, and the time of a few
// scans. Both give the same answers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shim/elf_symbols.h"
#include "shim/modules.h"

namespace m9 {

struct symbol_entry {
  uint32_t start; // from the module's start
  uint32_t size;
  uint32_t name; // offset in the string table, and symbol_is_local
};
constexpr uint32_t symbol_is_local = 0x80000000;

// Of those that cover an address, the one that starts last; of several that start there, a global one, then the one
// whose name comes first, then the longest. The same holds for all addresses from `from` until `until`.
class symbol_cover {
public:
  symbol_cover(uint32_t address, const module_facts &facts) : at(address), until(facts.end - facts.start) {}
  void look(const symbol_entry &e);
  // There are no others between `from` and `until`, but in the range that was looked at. False: none covers it.
  bool finish();

  const uint32_t at; // where it is, from the module's start
  uint64_t from = 0, until;
  symbol_entry best = {};
  bool found = false;
};

// `file`: a descriptor, where the source is one.
bool symbols_scan(const module_facts &facts, const symbol_source &source, long file, symbol_cover &cover);

struct symbol_index;
symbol_index *symbol_index_make(const module_facts &facts, const symbol_source &source,
                                long file); // nullptr: no memory
void symbol_index_drop(symbol_index *index);
bool symbol_index_find(const symbol_index &index, const module_facts &facts, symbol_cover &cover);
size_t symbol_index_bytes(); // mapped for all

} // namespace m9
