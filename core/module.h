// SPDX-License-Identifier: BSD-2-Clause
//
// The modules (program, libraries, JIT mappings) in which call sites were seen. Never removed; all under malloc_mtx.
#pragma once

#include <cstdint>

#include "core/malloc_type.h"
#include "shim/modules.h"

namespace m9 {

struct module {
  module_facts facts; // `path` is a copy
  const char *name;   // base name
  bool unloaded;
  bool jit;              // code outside of any loaded file: one type for all of it
  malloc_type *jit_type; // that type
};

constexpr uint32_t modules_most = 8192;
constexpr uint32_t modules_none = UINT32_MAX;

// The module of an address, noted if it is new; modules_none when there is none or no memory.
uint32_t module_number(uintptr_t address) M9_REQUIRES(malloc_mtx);
module *module_get(uint32_t number);
uint32_t modules_count();
// Whether it is still loaded where it was.
bool module_loaded(const module &m);
// Whether the last module that was seen at an address is known to be gone.
bool module_was_unloaded(uintptr_t address) M9_REQUIRES(malloc_mtx);

} // namespace m9
