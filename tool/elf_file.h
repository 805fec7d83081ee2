// SPDX-License-Identifier: BSD-2-Clause
//
// The few facts of an ELF file that decide whether a preloaded malloc is used.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace m9::tool {

struct elf_facts {
  bool is_64bit = false;
  unsigned machine = 0;            // e_machine
  bool is_shared = false;          // ET_DYN: a library or a position-independent program
  std::string interpreter;         // PT_INTERP; empty: static, or a library
  std::vector<std::string> needed; // DT_NEEDED
  bool exports_malloc = false;     // defined in .dynsym: every library of the process uses it
  bool contains_malloc = false;    // defined in .symtab: at least its own code uses it
  std::string inner_malloc;        // a prefixed one, as "je_malloc"; empty: none
  std::string sanitizer;           // "AddressSanitizer", ...; empty: none
};

// Nothing if the file cannot be read or is no ELF file.
std::optional<elf_facts> elf_read(int fd);

} // namespace m9::tool
