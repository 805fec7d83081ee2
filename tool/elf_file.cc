// SPDX-License-Identifier: BSD-2-Clause
#include "tool/elf_file.h"

#include <cstring>
#include <memory>
#include <string_view>

#include <elf.h>
#include <gelf.h>
#include <libelf.h>

namespace m9::tool {
namespace {

void read_symbol(elf_facts &facts, std::string_view name, bool dynamic) {
  if (name == "malloc")
    (dynamic ? facts.exports_malloc : facts.contains_malloc) = true;
  else if (name == "je_malloc" || name == "_rjem_malloc" || name == "mi_malloc" || name == "tc_malloc")
    facts.inner_malloc = name;
  else if (name == "__asan_init")
    facts.sanitizer = "AddressSanitizer";
  else if (name == "__tsan_init")
    facts.sanitizer = "ThreadSanitizer";
  else if (name == "__msan_init")
    facts.sanitizer = "MemorySanitizer";
  else if (name == "__hwasan_init")
    facts.sanitizer = "HWAddressSanitizer";
  else if (name == "__lsan_init" && facts.sanitizer.empty())
    facts.sanitizer = "LeakSanitizer";
}

void read_symbols(elf_facts &facts, Elf *elf, Elf_Scn *section, const GElf_Shdr &header) {
  Elf_Data *data = elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0)
    return;
  for (size_t i = 0; i < data->d_size / header.sh_entsize; i++) {
    GElf_Sym symbol;
    if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr)
      return;
    const bool defined = symbol.st_shndx != SHN_UNDEF && GELF_ST_BIND(symbol.st_info) != STB_LOCAL;
    const char *name = defined ? elf_strptr(elf, header.sh_link, symbol.st_name) : nullptr;
    if (name != nullptr)
      read_symbol(facts, name, header.sh_type == SHT_DYNSYM);
  }
}

void read_needed(elf_facts &facts, Elf *elf, Elf_Scn *section, const GElf_Shdr &header) {
  Elf_Data *data = elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0)
    return;
  for (size_t i = 0; i < data->d_size / header.sh_entsize; i++) {
    GElf_Dyn entry;
    if (gelf_getdyn(data, static_cast<int>(i), &entry) == nullptr || entry.d_tag == DT_NULL)
      return;
    const char *name = entry.d_tag == DT_NEEDED ? elf_strptr(elf, header.sh_link, entry.d_un.d_val) : nullptr;
    if (name != nullptr)
      facts.needed.emplace_back(name);
  }
}

void read_sections(elf_facts &facts, Elf *elf) {
  for (Elf_Scn *section = elf_nextscn(elf, nullptr); section != nullptr; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr)
      continue;
    if (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB)
      read_symbols(facts, elf, section, header);
    else if (header.sh_type == SHT_DYNAMIC)
      read_needed(facts, elf, section, header);
  }
}

void read_interpreter(elf_facts &facts, Elf *elf) {
  size_t count = 0;
  size_t size = 0;
  const char *file = elf_rawfile(elf, &size);
  if (file == nullptr || elf_getphdrnum(elf, &count) != 0)
    return;
  for (size_t i = 0; i < count; i++) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_INTERP)
      continue;
    if (header.p_offset < size && header.p_filesz <= size - header.p_offset)
      facts.interpreter.assign(file + header.p_offset, strnlen(file + header.p_offset, header.p_filesz));
  }
}

} // namespace

std::optional<elf_facts> elf_read(int fd) {
  if (elf_version(EV_CURRENT) == EV_NONE)
    return {};
  const std::unique_ptr<Elf, int (*)(Elf *)> elf(elf_begin(fd, ELF_C_READ_MMAP, nullptr), elf_end);
  GElf_Ehdr header;
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF || gelf_getehdr(elf.get(), &header) == nullptr)
    return {};
  elf_facts facts;
  facts.is_64bit = header.e_ident[EI_CLASS] == ELFCLASS64;
  facts.machine = header.e_machine;
  facts.is_shared = header.e_type == ET_DYN;
  read_interpreter(facts, elf.get());
  read_sections(facts, elf.get());
  return facts;
}

} // namespace m9::tool
