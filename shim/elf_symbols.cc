// SPDX-License-Identifier: BSD-2-Clause
#include "shim/elf_symbols.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/syscall.h"

namespace m9 {
namespace {

bool file_status(long descriptor, symbol_file &file) {
  struct stat status;
  if (system_call(SYS_fstat, descriptor, long(&status)) != 0 || !S_ISREG(status.st_mode))
    return false;
  file.device = status.st_dev;
  file.inode = status.st_ino;
  file.size = uint64_t(status.st_size);
  file.changed_s = status.st_mtim.tv_sec;
  file.changed_ns = status.st_mtim.tv_nsec;
  return true;
}

// Notes of one section, of which only the first bytes are looked at: a build-id stands alone, or early.
bool notes_have_build_id(long descriptor, const Elf64_Shdr &section, const module_facts &facts) {
  alignas(8) unsigned char notes[512];
  size_t size = symbol_file_read(descriptor, section.sh_offset, notes,
                                 section.sh_size < sizeof notes ? section.sh_size : sizeof notes);
  for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= size;) {
    Elf64_Nhdr note;
    __builtin_memcpy(&note, notes + at, sizeof note);
    size_t name = at + sizeof note, body = name + (size_t{note.n_namesz} + 3) / 4 * 4;
    size_t next = body + (size_t{note.n_descsz} + 3) / 4 * 4;
    if (next > size)
      return false;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && __builtin_memcmp(notes + name, "GNU", 4) == 0)
      return note.n_descsz == facts.build_id_size &&
             __builtin_memcmp(notes + body, facts.build_id, facts.build_id_size) == 0;
    at = next;
  }
  return false;
}

bool read_sections(long descriptor, const module_facts &facts, symbol_file &file) {
  Elf64_Ehdr header;
  if (symbol_file_read(descriptor, 0, &header, sizeof header) != sizeof header ||
      __builtin_memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_shentsize != sizeof(Elf64_Shdr))
    return false;
  constexpr unsigned batch = 16;
  Elf64_Shdr sections[batch];
  bool build_id = false;
  unsigned strings = 0;
  for (unsigned i = 0; i < header.e_shnum; i++) {
    if (i % batch == 0) {
      size_t n = header.e_shnum - i < batch ? header.e_shnum - i : batch;
      if (symbol_file_read(descriptor, header.e_shoff + i * sizeof *sections, sections, n * sizeof *sections) !=
          n * sizeof *sections)
        return false;
    }
    const auto &s = sections[i % batch];
    if (s.sh_type == SHT_NOTE && !build_id)
      build_id = notes_have_build_id(descriptor, s, facts);
    bool wanted = s.sh_type == SHT_SYMTAB || (s.sh_type == SHT_DYNSYM && file.count == 0);
    if (wanted && s.sh_entsize == sizeof(Elf64_Sym)) {
      file.table = s.sh_offset;
      file.count = s.sh_size / sizeof(Elf64_Sym);
      file.dynamic = s.sh_type == SHT_DYNSYM;
      strings = s.sh_link;
    }
  }
  Elf64_Shdr s;
  if (!build_id || file.count == 0 || strings >= header.e_shnum ||
      symbol_file_read(descriptor, header.e_shoff + strings * sizeof s, &s, sizeof s) != sizeof s)
    return false;
  file.strings = s.sh_offset;
  file.strings_size = s.sh_size;
  return s.sh_type == SHT_STRTAB;
}

// A file may be another one by now: more symbols than fit in front of the strings, which linkers put behind them, are
// not believed.
bool symbols_in_front(const dynamic_symbols &memory, uint64_t count) {
  auto symbols = reinterpret_cast<uintptr_t>(memory.symbols), strings = reinterpret_cast<uintptr_t>(memory.strings);
  return symbols != 0 && symbols < strings && count <= (strings - symbols) / sizeof(Elf64_Sym);
}

long open_module(const module_facts &facts) {
  const char *path = facts.path[0] ? facts.path : "/proc/self/exe";
  return system_call(SYS_openat, AT_FDCWD, long(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

} // namespace

size_t symbol_file_read(long descriptor, uint64_t offset, void *to, size_t size) {
  size_t done = 0;
  while (done < size) {
    long n = system_call(SYS_pread64, descriptor, long(static_cast<char *>(to) + done), long(size - done),
                         long(offset + done));
    if (n <= 0)
      break;
    done += size_t(n);
  }
  return done;
}

void symbol_file_close(long descriptor) { system_call(SYS_close, descriptor); }

bool symbol_file_open(const module_facts &facts, symbol_file &file, long &descriptor) {
  file = {};
  if (facts.build_id_size == 0 || (descriptor = open_module(facts)) < 0)
    return false;
  if (file_status(descriptor, file) && read_sections(descriptor, facts, file))
    return true;
  symbol_file_close(descriptor);
  return false;
}

void symbol_source_find(const module_facts &facts, symbol_source &source, long &descriptor) {
  constexpr uint64_t count_most = uint64_t{1} << 23; // more are not believed
  source = {};
  dynamic_symbols memory;
  bool has_strings = dynamic_strings_of(facts, memory);
  bool opened = symbol_file_open(facts, source.file, descriptor);
  if (opened && source.file.count <= count_most) {
    source.count = source.file.count;
    source.strings_size = source.file.strings_size;
    if (source.file.dynamic && has_strings && memory.strings_size == source.strings_size) {
      source.strings = memory.strings;
      source.symbols = symbols_in_front(memory, source.count) ? memory.symbols : nullptr;
    }
    return;
  }
  if (opened)
    symbol_file_close(descriptor);
  descriptor = -1;
  if (dynamic_symbols_of(facts, memory) && memory.count <= count_most) {
    source.count = memory.count;
    source.symbols = memory.symbols;
    source.strings = memory.strings;
    source.strings_size = memory.strings_size;
  }
}

bool symbol_file_reopen(const module_facts &facts, const symbol_file &file, long &descriptor) {
  if ((descriptor = open_module(facts)) < 0)
    return false;
  symbol_file now;
  if (file_status(descriptor, now) && now.device == file.device && now.inode == file.inode && now.size == file.size &&
      now.changed_s == file.changed_s && now.changed_ns == file.changed_ns)
    return true;
  symbol_file_close(descriptor);
  descriptor = -1;
  return false;
}

} // namespace m9
