// SPDX-License-Identifier: BSD-2-Clause
#include "tool/debug_info.h"

#include <algorithm>
#include <filesystem>

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <fmt/format.h>
#include <gelf.h>

#include "tool/demangle.h"

namespace m9::tool {
namespace {

constexpr unsigned entries_deep = 200;      // of nested DIEs: damaged files may say anything
constexpr size_t entries_most = 20'000'000; // of one unit

bool covers(Dwarf_Die &die, uint64_t address) { return dwarf_haspc(&die, address) == 1; }

bool holds_code(int tag) { // or entries that do
  return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
         tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

bool holds_functions(int tag) {
  return tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
         tag == DW_TAG_union_type || tag == DW_TAG_module || tag == DW_TAG_lexical_block || tag == DW_TAG_subprogram;
}

// Walks what may hold functions.
template <typename visit> void each_function(Dwarf_Die &parent, unsigned depth, size_t &left, visit &&found) {
  Dwarf_Die child;
  if (depth == 0 || dwarf_child(&parent, &child) != 0)
    return;
  do {
    if (left == 0)
      return;
    left--;
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_subprogram)
      found(child);
    if (holds_functions(tag))
      each_function(child, depth - 1, left, found);
  } while (dwarf_siblingof(&child, &child) == 0);
}

// The deepest functions inlined at the address, outermost first, behind `chain`.
void descend(Dwarf_Die parent, uint64_t address, std::vector<Dwarf_Die> &chain) {
  for (unsigned depth = 0; depth < entries_deep; depth++) {
    Dwarf_Die child;
    bool deeper = false;
    for (int more = dwarf_child(&parent, &child); more == 0 && !deeper; more = dwarf_siblingof(&child, &child)) {
      const int tag = dwarf_tag(&child);
      if (!holds_code(tag) || tag == DW_TAG_subprogram || !covers(child, address))
        continue;
      if (tag == DW_TAG_inlined_subroutine)
        chain.push_back(child);
      parent = child;
      deeper = true;
      break;
    }
    if (!deeper)
      return;
  }
}

// Paths are relative to where the compiler ran.
std::string absolute(Dwarf_Die &unit, const char *path) {
  Dwarf_Attribute attribute;
  const char *folder = dwarf_formstring(dwarf_attr(&unit, DW_AT_comp_dir, &attribute));
  return folder == nullptr ? path : (std::filesystem::path(folder) / path).lexically_normal().string();
}

void call_place(Dwarf_Die &unit, Dwarf_Die &inlined, source_frame &caller) {
  Dwarf_Attribute attribute;
  Dwarf_Word number = 0;
  Dwarf_Files *files = nullptr;
  size_t count = 0;
  if (dwarf_formudata(dwarf_attr(&inlined, DW_AT_call_file, &attribute), &number) == 0 &&
      dwarf_getsrcfiles(&unit, &files, &count) == 0 && number < count)
    if (const char *name = dwarf_filesrc(files, number, nullptr, nullptr))
      caller.file = absolute(unit, name);
  if (dwarf_formudata(dwarf_attr(&inlined, DW_AT_call_line, &attribute), &number) == 0)
    caller.line = static_cast<uint32_t>(number);
}

// The file that `dwz` moved shared entries to; false: it is needed and not there, so that names would be wrong.
bool open_alternate(Dwarf *dwarf, const debug_files &files, elf_image &image) {
  const char *name = nullptr;
  const void *id = nullptr;
  const ssize_t size = dwelf_dwarf_gnu_debugaltlink(dwarf, &name, &id);
  if (size <= 0)
    return true;
  std::string build_id;
  for (ssize_t i = 0; i < size; i++)
    build_id += fmt::format("{:02x}", static_cast<const unsigned char *>(id)[i]);
  const auto beside = std::filesystem::path(files.debug_path).parent_path() / name;
  for (const std::string &path :
       {fmt::format("{}/.build-id/{}/{}.debug", files.folder, build_id.substr(0, 2), build_id.substr(2)),
        beside.string()}) {
    image = elf_image_open(path, build_id);
    if (image.elf)
      return true;
  }
  return false;
}

} // namespace

debug_info::debug_info(debug_files found)
    : files(std::move(found)), alternate(nullptr, dwarf_end), dwarf(nullptr, dwarf_end) {
  Elf *elf = files.debug.elf ? files.debug.elf.get() : files.loaded.elf.get();
  if (!elf_has_section(elf, ".debug_info"))
    return;
  dwarf.reset(dwarf_begin_elf(elf, DWARF_C_READ, nullptr));
  if (!dwarf)
    return;
  if (!open_alternate(dwarf.get(), files, files.alternate)) {
    dwarf.reset();
  } else if (files.alternate.elf) {
    alternate.reset(dwarf_begin_elf(files.alternate.elf.get(), DWARF_C_READ, nullptr));
    dwarf_setalt(dwarf.get(), alternate.get());
  }
}

// Of all that cover the address the one that starts last.
const debug_info::extent *debug_info::innermost(const std::vector<extent> &sorted, uint64_t address) {
  auto at =
      std::upper_bound(sorted.begin(), sorted.end(), address, [](uint64_t a, const extent &e) { return a < e.start; });
  for (int looked = 0; at != sorted.begin() && looked < 256; looked++)
    if (address < (--at)->end)
      return &*at;
  return nullptr;
}

void debug_info::read_units() {
  units_read = true;
  Dwarf_CU *cu = nullptr;
  Dwarf_Die die, split;
  uint8_t kind = 0;
  while (dwarf_get_units(dwarf.get(), cu, &cu, nullptr, &kind, &die, &split) == 0) {
    if (kind != DW_UT_compile && kind != DW_UT_skeleton)
      continue;
    Dwarf_Addr base = 0, start = 0, end = 0;
    for (ptrdiff_t next = 0; (next = dwarf_ranges(&die, next, &base, &start, &end)) > 0;)
      if (start != 0 && start < end) // at 0 lies what the linker dropped
        unit_extents.push_back({start, end, units.size()});
    units.push_back({kind == DW_UT_skeleton && dwarf_tag(&split) != DW_TAG_invalid ? split : die, false, {}});
  }
  std::stable_sort(unit_extents.begin(), unit_extents.end(),
                   [](const extent &a, const extent &b) { return a.start < b.start; });
}

void debug_info::read_functions(unit &u) {
  u.read = true;
  size_t left = entries_most;
  each_function(u.die, entries_deep, left, [&](Dwarf_Die &die) {
    Dwarf_Addr base = 0, start = 0, end = 0;
    for (ptrdiff_t next = 0; (next = dwarf_ranges(&die, next, &base, &start, &end)) > 0;)
      if (start != 0 && start < end)
        u.functions.push_back({start, end, dwarf_dieoffset(&die)});
  });
  std::stable_sort(u.functions.begin(), u.functions.end(),
                   [](const extent &a, const extent &b) { return a.start < b.start; });
}

// "space::type::function", for what has no mangled name.
std::string debug_info::qualified_name(Dwarf_Die &die) {
  Dwarf_Die at = die;
  Dwarf_Attribute attribute;
  for (int i = 0; i < 16; i++) { // to the declaration, which stands where it was written
    Dwarf_Attribute *up = dwarf_attr(&at, DW_AT_abstract_origin, &attribute);
    if (up == nullptr)
      up = dwarf_attr(&at, DW_AT_specification, &attribute);
    Dwarf_Die next;
    if (up == nullptr || dwarf_formref_die(up, &next) == nullptr)
      break;
    at = next;
  }
  const char *own = dwarf_diename(&at);
  if (own == nullptr)
    return {};
  std::string name = own;
  Dwarf_Die *scopes = nullptr;
  const int count = dwarf_getscopes_die(&at, &scopes);
  for (int i = 1; i < count; i++) {
    const int tag = dwarf_tag(&scopes[i]);
    const char *outer = dwarf_diename(&scopes[i]);
    if (tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type || tag == DW_TAG_union_type)
      name = fmt::format("{}::{}", outer != nullptr ? outer : "(anonymous)", name);
  }
  std::free(scopes); // NOLINT(cppcoreguidelines-no-malloc): libdw's
  return name;
}

std::string debug_info::name_of(Dwarf_Die &die) {
  Dwarf_Attribute attribute;
  for (const unsigned kind : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name})
    if (const char *name = dwarf_formstring(dwarf_attr_integrate(&die, kind, &attribute)))
      return demangle(name);
  const auto [at, fresh] = names.try_emplace(dwarf_dieoffset(&die));
  if (fresh)
    at->second = qualified_name(die);
  return at->second;
}

std::vector<source_frame> debug_info::frames(uint64_t address) {
  if (dwarf && !units_read)
    read_units();
  const extent *in_unit = dwarf ? innermost(unit_extents, address) : nullptr;
  unit *u = in_unit != nullptr ? &units[in_unit->what] : nullptr;
  if (u != nullptr && !u->read)
    read_functions(*u);
  const extent *in_function = u != nullptr ? innermost(u->functions, address) : nullptr;
  std::vector<source_frame> result;
  source_frame place;
  Dwarf_Line *line = u != nullptr ? dwarf_getsrc_die(&u->die, address) : nullptr;
  if (line != nullptr) {
    const char *file = dwarf_linesrc(line, nullptr, nullptr);
    int number = 0;
    dwarf_lineno(line, &number);
    place.file = file != nullptr ? absolute(u->die, file) : "";
    place.line = static_cast<uint32_t>(number);
  }
  std::vector<Dwarf_Die> chain(1);
  if (in_function != nullptr &&
      dwarf_offdie(dwarf_cu_getdwarf(u->die.cu), in_function->what, chain.data()) != nullptr) {
    descend(chain[0], address, chain);
    for (; !chain.empty(); chain.pop_back()) {
      place.function = name_of(chain.back());
      result.push_back(place);
      place = {};
      if (chain.size() > 1)
        call_place(u->die, chain.back(), place);
    }
  }
  const function_symbol *s = symbol(address);
  if (!result.empty() && result.back().function.empty() && s != nullptr)
    result.back().function = demangle(s->name);
  if (result.empty() && s != nullptr)
    result.push_back({demangle(s->name), place.file, place.line});
  return result;
}

void debug_info::read_symbols(Elf *elf) {
  for (Elf_Scn *section = elf_nextscn(elf, nullptr); section != nullptr; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_entsize == 0 ||
        (header.sh_type != SHT_DYNSYM && header.sh_type != SHT_SYMTAB))
      continue;
    Elf_Data *data = elf_getdata(section, nullptr);
    for (size_t i = 1; data != nullptr && i < data->d_size / header.sh_entsize; i++) {
      GElf_Sym s;
      if (gelf_getsym(data, static_cast<int>(i), &s) == nullptr)
        break;
      const int kind = GELF_ST_TYPE(s.st_info);
      const bool code = kind == STT_FUNC || kind == STT_GNU_IFUNC || kind == STT_NOTYPE;
      const char *name =
          code && s.st_shndx != SHN_UNDEF && s.st_size != 0 ? elf_strptr(elf, header.sh_link, s.st_name) : nullptr;
      if (name != nullptr && *name != '\0')
        symbols.push_back({s.st_value, s.st_size, name});
    }
  }
}

const function_symbol *debug_info::symbol(uint64_t address) {
  if (!symbols_read) {
    symbols_read = true;
    for (Elf *elf : {files.loaded.elf.get(), files.debug.elf.get()})
      if (elf != nullptr)
        read_symbols(elf);
    std::stable_sort(symbols.begin(), symbols.end(),
                     [](const function_symbol &a, const function_symbol &b) { return a.start < b.start; });
  }
  auto at = std::upper_bound(symbols.begin(), symbols.end(), address,
                             [](uint64_t a, const function_symbol &s) { return a < s.start; });
  const function_symbol *best = nullptr;
  for (int looked = 0; at != symbols.begin() && looked < 256; looked++) {
    --at;
    if (best != nullptr && at->start != best->start)
      break;
    if (address - at->start < at->size)
      best = &*at; // the first of those that start there
  }
  return best;
}

} // namespace m9::tool
