// SPDX-License-Identifier: BSD-2-Clause
#include "shim/program_headers.h"

#include <elf.h>
#include <sys/auxv.h>

namespace m9 {
namespace {

constexpr uintptr_t page = 4096;

// In the first page, behind the ELF header.
bool in_first_page(const dl_find_object &found, program_headers &headers) {
  auto *header = static_cast<const ElfW(Ehdr) *>(found.dlfo_map_start);
  if (__builtin_memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phoff > page ||
      header->e_phoff + sizeof(ElfW(Phdr)) * header->e_phnum > page)
    return false;
  headers.segments = reinterpret_cast<const ElfW(Phdr) *>(reinterpret_cast<uintptr_t>(header) + header->e_phoff);
  headers.count = header->e_phnum;
  return true;
}

// For a program with holes between its segments (the loader fills them for libraries) what was found is one segment
// only. The kernel says where its program headers are.
bool in_auxiliary_vector(const dl_find_object &found, program_headers &headers) {
  if (!found.dlfo_link_map || found.dlfo_link_map->l_prev)
    return false;
  headers.segments = reinterpret_cast<const ElfW(Phdr) *>(getauxval(AT_PHDR));
  headers.count = unsigned(getauxval(AT_PHNUM));
  return headers.segments != nullptr;
}

} // namespace

bool program_headers_find(const dl_find_object &found, program_headers &headers) {
  auto start = reinterpret_cast<uintptr_t>(found.dlfo_map_start), end = reinterpret_cast<uintptr_t>(found.dlfo_map_end);
  bool first_page = in_first_page(found, headers);
  if (!first_page && !in_auxiliary_vector(found, headers))
    return false;
  uintptr_t low = UINTPTR_MAX, high = 0;
  for (unsigned i = 0; i < headers.count; i++) {
    const auto &s = headers.segments[i];
    if (s.p_type != PT_LOAD)
      continue;
    low = low < s.p_vaddr ? low : s.p_vaddr & -page;
    high = high > s.p_vaddr + s.p_memsz ? high : s.p_vaddr + s.p_memsz;
  }
  headers.base = first_page ? start - low : found.dlfo_link_map->l_addr;
  headers.start = headers.base + low;
  headers.end = headers.base + high;
  return low < high && headers.start <= start && headers.end >= end && start < end;
}

} // namespace m9
