// SPDX-License-Identifier: BSD-2-Clause
//
// symbol_find() against the loader's dladdr(), on names that only the file knows, and on files that are cut short, gone
// or replaced.
#include "shim/symbols.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "shim/elf_symbols.h"

namespace {

[[gnu::noinline, gnu::noclone]] int only_the_file_knows(int n) {
  asm volatile("" : "+r"(n));
  return n + 1;
}

m9::module_facts facts_of(uintptr_t address) {
  m9::module_facts facts;
  REQUIRE(m9::module_find(address, facts));
  return facts;
}

// As often as the loader finds a function, we find one that starts there too.
unsigned compare_with_loader(uintptr_t in_module, unsigned tries) {
  const m9::module_facts facts = facts_of(in_module);
  std::mt19937_64 random(9);
  m9::symbol found;
  unsigned same = 0;
  for (unsigned i = 0; i < tries; i++) {
    const uintptr_t address = facts.start + random() % (facts.end - facts.start);
    Dl_info info;
    const ElfW(Sym) *entry = nullptr;
    if (dladdr1(reinterpret_cast<void *>(address), &info, reinterpret_cast<void **>(const_cast<ElfW(Sym) **>(&entry)),
                RTLD_DL_SYMENT) == 0 ||
        !entry || ELF64_ST_TYPE(entry->st_info) != STT_FUNC || entry->st_size == 0)
      continue;
    CAPTURE(address - facts.base, info.dli_sname);
    REQUIRE(m9::symbol_find(facts, address, found));
    CHECK(found.start == uintptr_t(info.dli_saddr));
    CHECK(found.size >= address - found.start);
    same++;
  }
  return same;
}

// A library's own function: a sanitizer may stand before it in the program.
uintptr_t address_in(const char *library, const char *name) {
  void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
  REQUIRE(handle);
  void *address = dlsym(handle, name);
  REQUIRE(address);
  return reinterpret_cast<uintptr_t>(address);
}

std::string temporary(const char *name) {
  return (std::filesystem::temp_directory_path() / (std::string(name) + std::to_string(getpid()))).string();
}

} // namespace

TEST_CASE("dynamic symbols are found as the loader finds them", "[symbols]") {
  CHECK(compare_with_loader(address_in("libc.so.6", "malloc"), 20000) > 1000);
  CHECK(compare_with_loader(address_in("libstdc++.so.6", "_Znwm"), 20000) > 1000);
  CHECK(m9::symbols_bytes() > 0);
}

TEST_CASE("names that only the file has", "[symbols]") {
  const auto address = uintptr_t(&only_the_file_knows);
  m9::symbol found;
  REQUIRE(m9::symbol_find(facts_of(address), address, found));
  CHECK(found.start == address);
  CHECK(std::strstr(found.name, "only_the_file_knows") != nullptr);
  CHECK(only_the_file_knows(1) == 2);
  CHECK(m9::symbol_find(facts_of(address), address + 1, found)); // of few symbols, now there is an index
  const size_t bytes = m9::symbols_bytes();
  CHECK(m9::symbol_find(facts_of(address), address + 1, found));
  CHECK(m9::symbols_bytes() == bytes); // read once
}

TEST_CASE("an address without a symbol", "[symbols]") {
  m9::symbol found;
  m9::module_facts facts = facts_of(uintptr_t(&only_the_file_knows));
  CHECK_FALSE(m9::symbol_find(facts, facts.start, found)); // the ELF header
  CHECK_FALSE(m9::symbol_find(facts, facts.start - 1, found));
  CHECK_FALSE(m9::symbol_find(facts, facts.end, found));
}

TEST_CASE("a module that takes another's place", "[symbols]") {
  const auto address = uintptr_t(&only_the_file_knows);
  m9::module_facts facts = facts_of(address);
  m9::symbol found;
  REQUIRE(m9::symbol_find(facts, address, found));
  REQUIRE(m9::symbol_find(facts, address, found)); // of few symbols, now there is an index
  const size_t bytes = m9::symbols_bytes();
  m9::module_facts other = facts; // of another build, so the file that is there now is not its file
  other.build_id[0] ^= 1;
  if (m9::symbol_find(other, address, found))
    CHECK(std::strstr(found.name, "only_the_file_knows") == nullptr);
  CHECK(m9::symbols_bytes() < bytes);
  CHECK(m9::symbol_find(facts, address, found));
  CHECK(m9::symbol_find(facts, address, found));
  CHECK(m9::symbols_bytes() == bytes);
}

TEST_CASE("what is found holds for all addresses in between", "[symbols]") {
  const m9::module_facts facts = facts_of(address_in("libstdc++.so.6", "_Znwm"));
  std::mt19937_64 random(9);
  m9::symbol found, other;
  unsigned compared = 0;
  for (unsigned i = 0; i < 20000; i++) {
    const uintptr_t address = facts.start + random() % (facts.end - facts.start);
    if (!m9::symbol_find(facts, address, found))
      continue;
    REQUIRE((found.from <= address && address < found.until));
    REQUIRE((found.from >= found.start && found.until <= found.start + found.size));
    for (const uintptr_t at : {found.from, found.until - 1, found.from + random() % (found.until - found.from)}) {
      REQUIRE(m9::symbol_find(facts, at, other));
      REQUIRE(other.start == found.start);
      REQUIRE(std::strcmp(other.name, found.name) == 0);
    }
    compared++;
  }
  CHECK(compared > 1000);
}

TEST_CASE("a file that is cut short, replaced or gone", "[symbols]") {
  m9::module_facts facts = facts_of(uintptr_t(&only_the_file_knows));
  const std::string copy = temporary("symbols_test.");
  std::filesystem::copy_file("/proc/self/exe", copy);
  facts.path = copy.c_str();
  m9::symbol_file file, again;
  long descriptor;
  REQUIRE(m9::symbol_file_open(facts, file, descriptor));
  CHECK(file.count > 1000);
  m9::symbol_file_close(descriptor);
  REQUIRE(m9::symbol_file_reopen(facts, file, descriptor));
  m9::symbol_file_close(descriptor);

  // Section headers stand at the end: cut, there is none to be read. With a wrong table, reads end early.
  for (uintmax_t size = std::filesystem::file_size(copy); size > 0; size = size * 7 / 8) {
    std::filesystem::resize_file(copy, size - 1);
    CHECK_FALSE(m9::symbol_file_open(facts, again, descriptor));
    CHECK_FALSE(m9::symbol_file_reopen(facts, file, descriptor));
  }
  std::filesystem::remove(copy);
  CHECK_FALSE(m9::symbol_file_open(facts, again, descriptor));
  CHECK_FALSE(m9::symbol_file_reopen(facts, file, descriptor));
  std::filesystem::create_directory(copy);
  CHECK_FALSE(m9::symbol_file_open(facts, again, descriptor));
  std::filesystem::remove(copy);
}

TEST_CASE("a file's bytes are not trusted", "[symbols]") {
  m9::module_facts facts = facts_of(uintptr_t(&only_the_file_knows));
  const std::string copy = temporary("symbols_test_bytes.");
  std::filesystem::copy_file("/proc/self/exe", copy);
  facts.path = copy.c_str();
  const auto size = std::filesystem::file_size(copy);
  std::mt19937_64 random(9);
  Elf64_Ehdr header;
  unsigned opened = 0;
  for (unsigned i = 0; i < 2000; i++) {
    std::fstream f(copy, std::ios::in | std::ios::out | std::ios::binary);
    f.read(reinterpret_cast<char *>(&header), sizeof header);
    // In the ELF header or in a section header, back again afterwards.
    const uintmax_t at = i % 4 == 0 ? random() % sizeof header : header.e_shoff + random() % (size - header.e_shoff);
    char old, changed = char(random());
    f.seekg(std::streamoff(at));
    f.read(&old, 1);
    f.seekp(std::streamoff(at));
    f.write(&changed, 1);
    f.flush();
    m9::symbol_file file;
    long descriptor;
    if (m9::symbol_file_open(facts, file, descriptor)) {
      char byte[64];
      m9::symbol_file_read(descriptor, file.table + file.count * sizeof(Elf64_Sym), byte, sizeof byte);
      m9::symbol_file_close(descriptor);
      opened++;
    }
    f.seekp(std::streamoff(at));
    f.write(&old, 1);
  }
  CHECK(opened > 100);
  CHECK(opened < 2000);
  std::filesystem::remove(copy);
}

namespace {
unsigned descriptors() { return unsigned(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {})); }
} // namespace

TEST_CASE("a module that is asked about once gets no index", "[symbols]") {
  const uintptr_t address = address_in("libm.so.6", "feraiseexcept");
  m9::symbol found;
  const size_t bytes = m9::symbols_bytes();
  REQUIRE(m9::symbol_find(facts_of(address), address, found));
  const std::string first = found.name;
  CHECK(m9::symbols_bytes() == bytes);
  REQUIRE(m9::symbol_find(facts_of(address), address, found));
  CHECK(found.name == first);
  CHECK(m9::symbols_bytes() > bytes);
}

TEST_CASE("a file that is another one by now names nothing", "[symbols]") {
  const auto address = uintptr_t(&only_the_file_knows), other = uintptr_t(&compare_with_loader);
  m9::module_facts facts = facts_of(address);
  const std::string copy = temporary("symbols_test_other.");
  facts.path = copy.c_str();
  const unsigned open = descriptors();
  m9::symbol found;
  const auto changed = GENERATE(0, 1, 2);
  CAPTURE(changed);
  std::filesystem::copy_file("/proc/self/exe", copy, std::filesystem::copy_options::overwrite_existing);
  const auto forget = [&] { // by another module in its place
    m9::module_facts another = facts;
    another.build_id[0] ^= 1;
    m9::symbol_find(another, address, found);
  };
  forget();
  REQUIRE(m9::symbol_find(facts, address, found));
  CHECK(std::strstr(found.name, "only_the_file_knows") != nullptr);
  if (changed == 0) {
    std::filesystem::resize_file(copy, std::filesystem::file_size(copy) / 2);
  } else if (changed == 1) {
    const auto size = std::filesystem::file_size(copy); // any name would be a wrong one
    std::filesystem::remove(copy);
    std::ofstream(copy) << std::string(size, 'x');
  } else {
    std::filesystem::remove(copy);
  }
  const bool known = m9::symbol_find(facts, other, found); // by what is in memory
  CHECK((!known || std::strstr(found.name, "compare_with_loader") != nullptr));
  CHECK(descriptors() == open);
  std::filesystem::remove(copy);
  forget();
  REQUIRE(m9::symbol_find(facts_of(address), address, found));
}
