// SPDX-License-Identifier: BSD-2-Clause
#include "shim/unwind.h"

#include <elf.h>

#include "shim/code.h"
#include "shim/glibc.h"
#include "shim/program_headers.h"

namespace m9 {
namespace {

struct module_headers {
  uintptr_t eh_frame_header;
  program_headers headers;
};

bool headers_find(uintptr_t address, module_headers &module) {
  dl_find_object found;
  if (!object_find(address, found) || !found.dlfo_eh_frame)
    return false;
  module.eh_frame_header = reinterpret_cast<uintptr_t>(found.dlfo_eh_frame);
  return program_headers_find(found, module.headers);
}

// The readable segment that holds an address: where it starts, and how much of it comes from the file.
bool segment_find(const program_headers &headers, uintptr_t address, uintptr_t &start, size_t &size) {
  for (unsigned i = 0; i < headers.count; i++) {
    const auto &s = headers.segments[i];
    start = headers.base + s.p_vaddr;
    size = s.p_filesz;
    if (s.p_type == PT_LOAD && (s.p_flags & PF_R) && address - start < size)
      return true;
  }
  return false;
}

// The loader knows where .eh_frame_hdr is; how far its segment goes, the program headers say. Both sections lie in one
// segment, or there is no step.
bool table_of(const module_headers &module, cfi_table &table) {
  uintptr_t start;
  size_t size;
  if (!segment_find(module.headers, module.eh_frame_header, start, size))
    return false;
  table = {reinterpret_cast<const uint8_t *>(start), size, start, module.eh_frame_header - start};
  return true;
}

} // namespace

bool unwind_follows_call(uintptr_t address) {
  dl_find_object found;
  program_headers headers;
  if (!object_find(address, found) || !program_headers_find(found, headers))
    return false;
  for (unsigned i = 0; i < headers.count; i++) {
    const auto &s = headers.segments[i];
    uintptr_t start = headers.base + s.p_vaddr;
    if (s.p_type == PT_LOAD && (s.p_flags & (PF_R | PF_X)) == (PF_R | PF_X) && address - start <= s.p_filesz)
      return code_follows_call(reinterpret_cast<const uint8_t *>(start), address - start);
  }
  return false;
}

bool unwind_table(uintptr_t address, cfi_table &table) {
  module_headers module;
  return headers_find(address, module) && table_of(module, table);
}

unwind_step unwind_find(uintptr_t return_address, unwind_function &function) {
  constexpr unwind_step unknown{unwind_base::none, unwind_end::unknown, 0, 0};
  function = {};
  module_headers module;
  cfi_table table;
  if (!headers_find(return_address - 1, module) || !table_of(module, table))
    return unknown;
  unwind_step step = cfi_step(table, return_address - 1, function);
  uintptr_t start;
  size_t size;
  // What the table says of the function is believed only if it can be read.
  if (function.start != 0 && (!segment_find(module.headers, return_address - 1, start, size) ||
                              function.start < start || function.size > size - (function.start - start))) {
    function = {};
    return unknown;
  }
  return step;
}

} // namespace m9
