// SPDX-License-Identifier: BSD-2-Clause
//
// The index of a module's symbols against one look at each of them and against brute force; and of a file that changes
// while it is read.
#include "shim/symbol_index.h"

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>
#include <tuple>
#include <vector>

#include <catch2/catch.hpp>

#include "shim/elf_symbols.h"

TEST_CASE("one look at each symbol says what the index says", "[symbols]") {
  // The library's own function: a sanitizer may stand before it in the program.
  void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  REQUIRE(library);
  m9::module_facts facts;
  REQUIRE(m9::module_find(reinterpret_cast<uintptr_t>(dlsym(library, "_Znwm")), facts));
  m9::symbol_source source;
  long file;
  m9::symbol_source_find(facts, source, file);
  REQUIRE(file >= 0);
  if (GENERATE(false, true)) // as if memory had them not
    source.symbols = nullptr;
  m9::symbol_index *index = m9::symbol_index_make(facts, source, file);
  REQUIRE(index);
  std::mt19937_64 random(9);
  unsigned found = 0;
  for (unsigned i = 0; i < 2000; i++) {
    const auto at = uint32_t(random() % (facts.end - facts.start));
    m9::symbol_cover by_scan(at, facts), by_index(at, facts);
    REQUIRE(m9::symbols_scan(facts, source, file, by_scan) == m9::symbol_index_find(*index, facts, by_index));
    if (!by_scan.found)
      continue;
    REQUIRE(by_scan.best.start == by_index.best.start);
    REQUIRE(by_scan.best.size == by_index.best.size);
    REQUIRE(by_scan.best.name == by_index.best.name);
    REQUIRE((by_index.from <= at && at < by_index.until && by_scan.from <= at && at < by_scan.until));
    REQUIRE(by_index.until <= by_scan.until);
    found++;
  }
  CHECK(found > 200);
  m9::symbol_index_drop(index);
  m9::symbol_file_close(file);
}

namespace {
const Elf64_Sym *last_to_cover(const std::vector<Elf64_Sym> &symbols, uint64_t range, uint64_t at, unsigned &covering) {
  const Elf64_Sym *best = nullptr;
  covering = 0;
  for (const Elf64_Sym &s : symbols) {
    if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx == SHN_UNDEF || s.st_value >= range || s.st_value > at ||
        at >= s.st_value + s.st_size)
      continue;
    covering++;
    const auto rank = [](const Elf64_Sym &x) {
      return std::tuple(x.st_value, ELF64_ST_BIND(x.st_info) == STB_GLOBAL, ~x.st_name, x.st_size);
    };
    best = !best || rank(s) > rank(*best) ? &s : best;
  }
  return best;
}
} // namespace

// Symbols within others, beside each other, of the same start, out of order, with and without gaps, long and short.
TEST_CASE("of symbols that cover an address, the one that starts last", "[symbols]") {
  constexpr uint32_t range = 1 << 16;
  std::mt19937_64 random(9);
  unsigned found = 0, nested = 0, at_start = 0;
  for (unsigned round = 0; round < 50; round++) {
    std::vector<Elf64_Sym> symbols(1 + random() % 300);
    for (size_t i = 0; i < symbols.size(); i++) {
      symbols[i] = {};
      symbols[i].st_value = i % 3 && i > 0        ? symbols[random() % i].st_value + random() % 3
                            : i == 0 && round % 2 ? 0 // where the module does
                                                  : random() % range;
      symbols[i].st_size = random() % (random() % 8 ? 64 : range / 4);
      symbols[i].st_name = uint32_t(random() % 64);
      const unsigned bind = random() % 2 ? STB_GLOBAL : STB_LOCAL, type = random() % 8 ? STT_FUNC : STT_OBJECT;
      symbols[i].st_info = uint8_t(ELF64_ST_INFO(bind, type));
      symbols[i].st_shndx = random() % 16 ? 1 : SHN_UNDEF;
    }
    m9::module_facts facts{};
    facts.path = "";
    facts.base = facts.start = 0x10000;
    facts.end = facts.start + range;
    m9::symbol_source source{};
    source.symbols = symbols.data();
    source.count = symbols.size();
    m9::symbol_index *index = m9::symbol_index_make(facts, source, -1);
    REQUIRE(index);
    for (uint32_t at = 0; at < range; at += 1 + uint32_t(random() % 50)) {
      unsigned covering = 0;
      const Elf64_Sym *best = last_to_cover(symbols, range, at, covering);
      m9::symbol_cover by_scan(at, facts), by_index(at, facts);
      REQUIRE(m9::symbols_scan(facts, source, -1, by_scan) == (best != nullptr));
      REQUIRE(m9::symbol_index_find(*index, facts, by_index) == (best != nullptr));
      if (!best)
        continue;
      for (const m9::symbol_cover &by : {by_scan, by_index}) {
        REQUIRE(by.best.start == best->st_value);
        REQUIRE(by.best.size == best->st_size);
        REQUIRE((by.best.name & ~m9::symbol_is_local) == best->st_name);
        REQUIRE((by.from <= at && at < by.until));
        for (const uint64_t same : {by.from, by.until - 1, by.from + random() % (by.until - by.from)}) {
          unsigned others;
          const Elf64_Sym *there = last_to_cover(symbols, range, same, others);
          REQUIRE((there && there->st_value == best->st_value && there->st_name == best->st_name));
        }
      }
      found++;
      nested += covering > 1;
      at_start += best->st_value == 0;
    }
    m9::symbol_index_drop(index);
  }
  CHECK(found > 10000);
  CHECK(nested > 1000);
  CHECK(at_start > 10);
}

TEST_CASE("an index of a file that is written to meanwhile", "[symbols]") {
  constexpr uint32_t count = 50000, range = 1 << 26;
  m9::module_facts facts{};
  facts.end = range;
  // Few symbols, far apart; and many, before and behind those, more of them in one bucket than the few in all.
  std::vector<Elf64_Sym> few(count), many(count);
  for (uint32_t i = 0; i < count; i++) {
    Elf64_Sym s{};
    s.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    s.st_shndx = 1;
    s.st_name = i;
    s.st_size = i % 500 == 0 ? 8 : 0;
    s.st_value = 4000 + uint64_t{i} * 20;
    few[i] = s;
    s.st_size = 8;
    s.st_value = i % 2 ? i % 16 : range - 1 - i % 16;
    many[i] = s;
  }
  char path[] = "/tmp/symbols-test-XXXXXX";
  const int file = mkstemp(path);
  REQUIRE(file >= 0);
  unlink(path);
  const auto write = [&](const std::vector<Elf64_Sym> &symbols) {
    return pwrite(file, symbols.data(), count * sizeof(Elf64_Sym), 0) == ssize_t(count * sizeof(Elf64_Sym));
  };
  REQUIRE(write(few));
  m9::symbol_source source{};
  source.count = count;
  std::atomic<unsigned> writes{0};
  std::jthread writer([&](const std::stop_token &stop) {
    while (!stop.stop_requested() && write(many) && write(few))
      writes++;
  });
  unsigned found = 0;
  for (unsigned i = 0; i < 300; i++) {
    m9::symbol_index *index = m9::symbol_index_make(facts, source, file);
    REQUIRE(index);
    for (uint32_t at = 0; at < 20 * count; at += 500) {
      m9::symbol_cover cover(at, facts);
      if (!m9::symbol_index_find(*index, facts, cover))
        continue;
      found++;
      REQUIRE((cover.best.start <= at && at < cover.best.start + cover.best.size));
    }
    m9::symbol_index_drop(index);
  }
  CHECK(writes > 10);
  writer.request_stop();
  writer.join();
  close(file);
  CHECK(found > 0);
}
