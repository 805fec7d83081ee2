// SPDX-License-Identifier: BSD-2-Clause
#include "shim/unwind.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

namespace m9 {

// The loader knows where .eh_frame_hdr is; how far its segment goes, the program headers say, which lie in the first
// page of all that linkers make. Both sections lie in one segment, or there is no step.
bool unwind_table(uintptr_t address, cfi_table &table) {
  dl_find_object found;
  if (_dl_find_object(reinterpret_cast<void *>(address), &found) != 0 || !found.dlfo_eh_frame)
    return false;
  auto start = reinterpret_cast<uintptr_t>(found.dlfo_map_start);
  auto end = reinterpret_cast<uintptr_t>(found.dlfo_map_end);
  auto eh_frame_header = reinterpret_cast<uintptr_t>(found.dlfo_eh_frame);
  auto *header = static_cast<const ElfW(Ehdr) *>(found.dlfo_map_start);
  if (__builtin_memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phoff > 4096 ||
      header->e_phoff + sizeof(ElfW(Phdr)) * header->e_phnum > 4096)
    return false;
  auto *segments = reinterpret_cast<const ElfW(Phdr) *>(start + header->e_phoff);
  const ElfW(Phdr) *first = nullptr;
  for (unsigned i = 0; i < header->e_phnum; i++) {
    const auto &s = segments[i];
    if (s.p_type != PT_LOAD)
      continue;
    first = first ? first : &s;
    uintptr_t at = start - (first->p_vaddr & -uintptr_t{4096}) + s.p_vaddr;
    if ((s.p_flags & PF_R) == 0 || eh_frame_header < at || eh_frame_header - at >= s.p_filesz)
      continue;
    if (at < start || at >= end || s.p_filesz > end - at)
      return false;
    table = {reinterpret_cast<const uint8_t *>(at), s.p_filesz, at, eh_frame_header - at};
    return true;
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
