// SPDX-License-Identifier: BSD-2-Clause
//
// The functions and source lines of one module, from its DWARF and its symbols, by address (as in the file, without a
// load bias). Reads what an address needs, when it is asked for: the units' ranges once, the functions of a unit when
// an address lies in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <elfutils/libdw.h>

#include "tool/debug_files.h"

namespace m9::tool {

struct source_frame {
  std::string function; // demangled; empty: unknown
  std::string file;     // empty: unknown
  uint32_t line = 0;    // 0: unknown
};

struct function_symbol {
  uint64_t start = 0, size = 0;
  std::string name; // as in the file
};

class debug_info {
public:
  explicit debug_info(debug_files found);

  // Innermost first: functions that were inlined there, then the one that they are part of. Empty: unknown.
  std::vector<source_frame> frames(uint64_t address);
  // The symbol that covers the address; nullptr: none.
  const function_symbol *symbol(uint64_t address);

private:
  struct extent {
    uint64_t start, end;
    uint64_t what; // index of a unit, or offset of a function's entry
  };
  struct unit {
    Dwarf_Die die = {};
    bool read = false;
    std::vector<extent> functions; // sorted by start
  };
  static const extent *innermost(const std::vector<extent> &sorted, uint64_t address);

  void read_units();
  static void read_functions(unit &u);
  void read_symbols(Elf *elf);
  std::string name_of(Dwarf_Die &die);
  static std::string qualified_name(Dwarf_Die &die);

  debug_files files;
  std::unique_ptr<Dwarf, int (*)(Dwarf *)> alternate, dwarf; // the second refers to the first
  bool units_read = false, symbols_read = false;
  std::vector<unit> units;
  std::vector<extent> unit_extents;
  std::vector<function_symbol> symbols; // sorted by start
  std::unordered_map<uint64_t, std::string> names;
};

} // namespace m9::tool
