// SPDX-License-Identifier: BSD-2-Clause
//
// Names of what lies in no file: the kernel's vdso, as it is mapped here, and generated code by its map, in types and
// in chains.
#include "tool/naming.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <elf.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <fmt/format.h>

#include "tool/tree.h"

using namespace m9;
using namespace m9::tool;

namespace {

struct vdso {
  std::string build_id;
  std::vector<std::pair<uint64_t, std::string>> functions; // offset, name
};

const char *vdso_base() {
  return reinterpret_cast<const char *>(getauxval(AT_SYSINFO_EHDR)); // NOLINT(performance-no-int-to-ptr)
}

void read_note(vdso &v, const char *base, const Elf64_Phdr &segment) {
  for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= segment.p_filesz;) {
    const char *note = base + segment.p_offset + at;
    Elf64_Nhdr header;
    std::memcpy(&header, note, sizeof header);
    const size_t body = sizeof header + (header.n_namesz + 3) / 4 * 4;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4)
      for (size_t i = 0; i < header.n_descsz; i++)
        v.build_id += fmt::format("{:02x}", static_cast<unsigned char>(note[body + i]));
    at += body + (header.n_descsz + 3) / 4 * 4;
  }
}

// From its own headers, without libelf, which the tool reads it by.
vdso read_vdso() {
  vdso v;
  const char *base = vdso_base();
  if (base == nullptr)
    return v;
  Elf64_Ehdr header;
  std::memcpy(&header, base, sizeof header);
  for (unsigned i = 0; i < header.e_phnum; i++) {
    Elf64_Phdr segment;
    std::memcpy(&segment, base + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type == PT_NOTE)
      read_note(v, base, segment);
  }
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  std::memcpy(sections.data(), base + header.e_shoff, sections.size() * sizeof sections[0]);
  for (const Elf64_Shdr &section : sections)
    for (size_t i = 0; section.sh_type == SHT_DYNSYM && i < section.sh_size / sizeof(Elf64_Sym); i++) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, base + section.sh_offset + i * sizeof symbol, sizeof symbol);
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_size > 8)
        v.functions.emplace_back(symbol.st_value, base + sections[section.sh_link].sh_offset + symbol.st_name);
    }
  return v;
}

model one_module(const std::string &path, const std::string &build_id) {
  model m;
  m.pid = 4711;
  m.cpus = {0};
  m.zones.push_back({64, 0, 0, 0, 0, 0, 0});
  m.modules.push_back({path, build_id, 0x1000000, 0x1000000, 0x1010000, 0});
  return m;
}

void add_type(model &m, const std::string &name, uint64_t offset, uint64_t allocs) {
  m.types.push_back({name, 0, offset, 0, 0, {{0, {{allocs, 0, allocs * 64, 0}}}}, format::no_chain});
}

} // namespace

TEST_CASE("names: the vdso's own symbols, if it is the same vdso") {
  const vdso v = read_vdso();
  REQUIRE(v.build_id.size() >= 16);
  REQUIRE(!v.functions.empty());
  for (const auto &[offset, name] : v.functions) {
    model m = one_module("linux-vdso.so.1", v.build_id);
    add_type(m, "linux-vdso.so.1+0x777", offset + 5, 3);
    naming names(m, {});
    const std::string found = names.site_of(m.types[0]).function;
    bool known = false; // one place may have several names
    for (const auto &[other, other_name] : v.functions)
      known = known || (other == offset && other_name == found);
    CAPTURE(name, found);
    CHECK(known);
    m.modules[0].build_id[3] = m.modules[0].build_id[3] == '0' ? '1' : '0';
    naming another(m, {});
    CHECK(another.site_of(m.types[0]).function.empty());
    CHECK(another.shown(m.types[0]) == "linux-vdso.so.1+0x777");
  }
}

TEST_CASE("names: generated code by its map, in types and in chains") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("malloc9-names-{}", getpid());
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "perf-4711.map") << "1000100 40 first\n1000200 80 old name\n1000200 80 new name\nbad line\n"
                                             "1000100000 ffffffff elsewhere\n";
  model m = one_module("(code)#1", "");
  add_type(m, "(code)#1", 0x120, 5);
  m.frames = {{format::no_chain, 0, 0x140}, {0, 0, 0x205}, {1, 0, 0x141}, {2, 0, 0x300}};
  m.types[0].chain = 3;
  naming names(m, {name_source::automatic, "", folder});
  const auto name_at = [&](uint64_t offset) {
    const auto frames = names.frames(0, offset);
    return frames.empty() ? "" : frames[0].function;
  };
  CHECK(name_at(0x140) == "first"); // a return address may be the first byte behind the function
  CHECK(name_at(0x141).empty());
  CHECK(name_at(0x205) == "new name");
  CHECK(name_at(0).empty()); // of the whole mapping, which has two
  char file[] = "/tmp/malloc9-names-XXXXXX";
  const int fd = mkstemp(file);
  REQUIRE(fd >= 0);
  output out(fd, "output");
  call_tree(m, names, tree_weight::requests).print_folded(out);
  out.finish();
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  CHECK(line == "first;new name;(code)#1+0x141;(code)#1+0x300 5");
  ::close(fd);
  std::filesystem::remove(file);
  std::filesystem::remove_all(folder);
}
