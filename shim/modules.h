// SPDX-License-Identifier: BSD-2-Clause
//
// Which loaded file an address belongs to, and what its dynamic symbols call it. Nothing here takes the loader's lock,
// allocates or calls back into malloc; what is read lies in mapped memory of the module.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

struct module_facts {
  const char *path;     // as the loader knows it; empty for the program itself
  uintptr_t base;       // load bias
  uintptr_t start, end; // mapped range
  const void *dynamic;  // its dynamic section, nullptr when unknown
  uint8_t build_id[32];
  uint32_t build_id_size;
};

// False: the address lies in no loaded module.
bool module_find(uintptr_t address, module_facts &facts);

// Address of a name in the module's own dynamic symbols, or 0.
uintptr_t module_export(const module_facts &facts, const char *name);

// libc's own function of a name that we have, too, where dlsym could allocate. Looked up at each call, as hardly any
// program needs one. nullptr: libc is not glibc.
uintptr_t libc_symbol(const char *name);
template <class Function> Function *libc_call(const char *name) {
  return reinterpret_cast<Function *>(libc_symbol(name));
}

struct mapping_facts {
  uintptr_t start, end;
  char permissions[5];
  char path[256]; // may be empty
};
// The mapping an address lies in, from /proc/self/maps. False: none, or the file cannot be read.
bool mapping_find(uintptr_t address, mapping_facts &facts);

} // namespace m9
