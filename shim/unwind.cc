// SPDX-License-Identifier: BSD-2-Clause
#include "shim/unwind.h"

#include <elf.h>

#include "shim/program_headers.h"

namespace m9 {

// The loader knows where .eh_frame_hdr is; how far its segment goes, the program headers say. Both sections lie in one
// segment, or there is no step.
bool unwind_table(uintptr_t address, cfi_table &table) {
  dl_find_object found;
  program_headers headers;
  if (_dl_find_object(reinterpret_cast<void *>(address), &found) != 0 || !found.dlfo_eh_frame ||
      !program_headers_find(found, headers))
    return false;
  auto eh_frame_header = reinterpret_cast<uintptr_t>(found.dlfo_eh_frame);
  for (unsigned i = 0; i < headers.count; i++) {
    const auto &s = headers.segments[i];
    uintptr_t at = headers.base + s.p_vaddr;
    if (s.p_type == PT_LOAD && (s.p_flags & PF_R) && eh_frame_header >= at && eh_frame_header - at < s.p_filesz) {
      table = {reinterpret_cast<const uint8_t *>(at), s.p_filesz, at, eh_frame_header - at};
      return true;
    }
  }
  return false;
}

unwind_step unwind_find(uintptr_t return_address, unwind_function &function) {
  function = {};
  cfi_table table;
  if (!unwind_table(return_address - 1, table))
    return {unwind_base::none, unwind_end::unknown, 0, 0};
  return cfi_step(table, return_address - 1, function);
}

} // namespace m9
