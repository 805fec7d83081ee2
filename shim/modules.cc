// SPDX-License-Identifier: BSD-2-Clause
#include "shim/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/syscall.h>

#include "shim/elf_symbols.h"
#include "shim/glibc.h"
#include "shim/program_headers.h"
#include "shim/syscall.h"
#include "shim/text.h"

namespace m9 {
namespace {

void build_id_read(const program_headers &headers, module_facts &facts) {
  for (unsigned i = 0; i < headers.count; i++) {
    const auto &segment = headers.segments[i];
    if (segment.p_type != PT_NOTE)
      continue;
    uintptr_t at = facts.base + segment.p_vaddr, end = at + segment.p_memsz;
    while (at >= facts.start && end <= facts.end && at + sizeof(ElfW(Nhdr)) < end) {
      auto *note = reinterpret_cast<const ElfW(Nhdr) *>(at);
      uintptr_t name = at + sizeof *note, body = name + (note->n_namesz + 3) / 4 * 4;
      if (body + note->n_descsz > end)
        break;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && note->n_descsz <= sizeof facts.build_id) {
        __builtin_memcpy(facts.build_id, reinterpret_cast<const void *>(body), note->n_descsz);
        facts.build_id_size = note->n_descsz;
        return;
      }
      at = body + (note->n_descsz + 3) / 4 * 4;
    }
  }
}

// The GNU hash table does not say how many symbols there are: the end of the chain of the highest bucket does.
size_t gnu_hash_count(const uint32_t *hash) {
  uint32_t buckets = hash[0], first = hash[1], bloom = hash[2], last = 0;
  const uint32_t *bucket = hash + 4 + bloom * (sizeof(ElfW(Addr)) / 4);
  for (uint32_t i = 0; i < buckets; i++)
    last = bucket[i] > last ? bucket[i] : last;
  if (last < first)
    return first;
  const uint32_t *chain = bucket + buckets;
  while (!(chain[last - first] & 1))
    last++;
  return last + 1;
}

// All of a table but its count.
void dynamic_section_read(const module_facts &facts, dynamic_symbols &table, const uint32_t *&hash,
                          const uint32_t *&gnu_hash) {
  table = {};
  hash = gnu_hash = nullptr;
  for (auto *d = static_cast<const ElfW(Dyn) *>(facts.dynamic); d && d->d_tag != DT_NULL; d++) {
    uintptr_t at = d->d_un.d_ptr < facts.base ? d->d_un.d_ptr + facts.base : d->d_un.d_ptr; // the vdso's are relative
    if (d->d_tag == DT_SYMTAB)
      table.symbols = reinterpret_cast<const ElfW(Sym) *>(at);
    else if (d->d_tag == DT_STRTAB)
      table.strings = reinterpret_cast<const char *>(at);
    else if (d->d_tag == DT_STRSZ)
      table.strings_size = d->d_un.d_val;
    else if (d->d_tag == DT_HASH)
      hash = reinterpret_cast<const uint32_t *>(at);
    else if (d->d_tag == DT_GNU_HASH)
      gnu_hash = reinterpret_cast<const uint32_t *>(at);
  }
}

} // namespace

bool dynamic_strings_of(const module_facts &facts, dynamic_symbols &table) {
  const uint32_t *hash, *gnu_hash;
  dynamic_section_read(facts, table, hash, gnu_hash);
  return table.strings != nullptr;
}

bool dynamic_symbols_of(const module_facts &facts, dynamic_symbols &table) {
  const uint32_t *hash, *gnu_hash;
  dynamic_section_read(facts, table, hash, gnu_hash);
  if (!table.symbols || !table.strings || (!hash && !gnu_hash))
    return false;
  table.count = hash ? hash[1] : gnu_hash_count(gnu_hash);
  return true;
}

bool module_find(uintptr_t address, module_facts &facts) {
  dl_find_object found;
  if (!object_find(address, found))
    return false;
  facts = {};
  facts.start = reinterpret_cast<uintptr_t>(found.dlfo_map_start);
  facts.end = reinterpret_cast<uintptr_t>(found.dlfo_map_end);
  facts.path = found.dlfo_link_map && found.dlfo_link_map->l_name ? found.dlfo_link_map->l_name : "";
  facts.base = found.dlfo_link_map ? found.dlfo_link_map->l_addr : facts.start;
  facts.dynamic = found.dlfo_link_map ? found.dlfo_link_map->l_ld : nullptr;
  program_headers headers;
  if (program_headers_find(found, headers)) {
    facts.start = headers.start;
    facts.end = headers.end;
    build_id_read(headers, facts);
  }
  return true;
}

uintptr_t module_export(const module_facts &facts, const char *name) {
  dynamic_symbols table;
  if (!dynamic_symbols_of(facts, table))
    return 0;
  for (size_t i = 1; i < table.count; i++) {
    const auto &s = table.symbols[i];
    if (s.st_shndx != SHN_UNDEF && s.st_name < table.strings_size && text_equal(table.strings + s.st_name, name))
      return facts.base + s.st_value;
  }
  return 0;
}

// Any function that only libc has leads to its own symbols.
uintptr_t libc_symbol(const char *name) {
  module_facts libc;
  return module_find(reinterpret_cast<uintptr_t>(&gnu_get_libc_version), libc) ? module_export(libc, name) : 0;
}

namespace {

// "55d0-55d4 rw-p 00000000 00:00 0      [heap]"
bool mapping_parse(const char *line, mapping_facts &facts) {
  auto hex = [&line](uintptr_t &v) {
    for (v = 0;; line++)
      if (*line >= '0' && *line <= '9')
        v = v * 16 + uintptr_t(*line - '0');
      else if (*line >= 'a' && *line <= 'f')
        v = v * 16 + uintptr_t(*line - 'a' + 10);
      else
        return;
  };
  hex(facts.start);
  if (*line++ != '-')
    return false;
  hex(facts.end);
  if (*line++ != ' ')
    return false;
  for (int i = 0; i < 4 && *line; i++)
    facts.permissions[i] = *line++;
  for (int fields = 0; fields < 4 && *line; fields++) { // the space, offset, device and inode
    while (*line == ' ')
      line++;
    if (fields < 3)
      while (*line && *line != ' ')
        line++;
  }
  size_t n = 0;
  while (*line && n + 1 < sizeof facts.path)
    facts.path[n++] = *line++;
  facts.path[n] = 0;
  return true;
}

} // namespace

bool mapping_find(uintptr_t address, mapping_facts &facts) {
  long fd = system_call(SYS_openat, AT_FDCWD, long("/proc/self/maps"), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  char buffer[512];
  text_buffer<400> line;
  bool found = false;
  for (long n; !found && (n = system_call(SYS_read, fd, long(buffer), sizeof buffer)) > 0;)
    for (long i = 0; i < n && !found; i++) {
      if (buffer[i] != '\n') {
        line.put(buffer[i]);
        continue;
      }
      facts = {};
      found = mapping_parse(line.c_str(), facts) && address >= facts.start && address < facts.end;
      line.clear();
    }
  system_call(SYS_close, fd);
  return found;
}

} // namespace m9
