// SPDX-License-Identifier: BSD-2-Clause
#include "shim/symbols.h"

#include "shim/elf_symbols.h"
#include "shim/symbol_index.h"

namespace m9 {
namespace {

// What is known of a module's symbols.
struct known_module {
  uintptr_t start, end;
  const void *dynamic;
  uint8_t build_id[sizeof module_facts::build_id];
  symbol_source source;
  bool scanned;
  symbol_index *index; // nullptr: not made yet, or no memory
};
constexpr unsigned modules_most = 1024; // beyond, the oldest makes room
constinit known_module modules[modules_most] = {};
constinit unsigned modules_count = 0, modules_next = 0;

// Many modules are asked about once, and then an index takes more time and memory than one look at each symbol.
constexpr uint64_t scanned_symbols_most = 8192;

// The name that was last read from a file: half of all questions are about the function before.
constinit struct {
  const known_module *module; // nullptr: none
  uint32_t offset;
  char name[sizeof symbol::name];
} last_read = {};

void module_drop(known_module &m) {
  last_read.module = nullptr;
  symbol_index_drop(m.index);
  m = {};
}

// `file`: open after this, where the source is one.
void module_open(known_module &m, const module_facts &facts, long &file) {
  module_drop(m);
  m.start = facts.start;
  m.end = facts.end;
  m.dynamic = facts.dynamic;
  __builtin_memcpy(m.build_id, facts.build_id, sizeof m.build_id);
  if (facts.end - facts.start <= UINT32_MAX)
    symbol_source_find(facts, m.source, file);
}

bool same_module(const known_module &m, const module_facts &facts) {
  return m.start == facts.start && m.end == facts.end && m.dynamic == facts.dynamic &&
         __builtin_memcmp(m.build_id, facts.build_id, sizeof m.build_id) == 0;
}

// Whatever is remembered of others that lay there is dropped.
known_module &module_of(const module_facts &facts, long &file) {
  known_module *slot = nullptr;
  for (unsigned i = 0; i < modules_count; i++) {
    known_module &m = modules[i];
    if (m.start >= facts.end || m.end <= facts.start)
      continue;
    if (same_module(m, facts))
      return m;
    module_drop(m);
    slot = &m;
  }
  if (!slot)
    slot = &modules[modules_count < modules_most ? modules_count++ : modules_next++ % modules_most];
  module_open(*slot, facts, file);
  return *slot;
}

enum class answer { none, found, other_file };

// Makes sure that the file is open, where it is still the one that was read.
bool file_ready(const known_module &m, const module_facts &facts, long &file) {
  return file >= 0 || symbol_file_reopen(facts, m.source.file, file);
}

answer module_cover(known_module &m, const module_facts &facts, long &file, symbol_cover &cover) {
  bool scan = m.source.count <= scanned_symbols_most && !m.scanned;
  if (!m.index) {
    if (!m.source.symbols && !file_ready(m, facts, file))
      return answer::other_file;
    m.index = scan ? nullptr : symbol_index_make(facts, m.source, file);
    m.scanned = true;
  }
  bool found = m.index ? symbol_index_find(*m.index, facts, cover) : symbols_scan(facts, m.source, file, cover);
  return found ? answer::found : answer::none;
}

answer name_read(const known_module &m, const module_facts &facts, long &file, uint32_t offset, symbol &found) {
  if (last_read.module != &m || last_read.offset != offset) {
    last_read.module = nullptr;
    if (!file_ready(m, facts, file))
      return answer::other_file;
    uint64_t at = m.source.file.strings + offset;
    size_t size = offset < m.source.strings_size ? sizeof last_read.name - 1 : 0;
    size = symbol_file_read(file, at, last_read.name, size);
    last_read.name[size] = 0;
    last_read.module = size ? &m : nullptr;
    last_read.offset = offset;
  }
  __builtin_memcpy(found.name, last_read.name, sizeof found.name);
  return found.name[0] ? answer::found : answer::none;
}

answer name_copy(const known_module &m, uint32_t offset, symbol &found) {
  if (offset >= m.source.strings_size)
    return answer::none;
  const char *name = m.source.strings + offset;
  size_t size = m.source.strings_size - offset, most = sizeof found.name - 1;
  size = size < most ? size : most;
  if (auto *end = static_cast<const char *>(__builtin_memchr(name, 0, size)))
    size = size_t(end - name);
  __builtin_memcpy(found.name, name, size);
  found.name[size] = 0;
  return size ? answer::found : answer::none;
}

answer module_ask(known_module &m, const module_facts &facts, long &file, uintptr_t address, symbol &found) {
  if (m.source.count == 0)
    return answer::none;
  symbol_cover cover(uint32_t(address - facts.start), facts);
  answer a = module_cover(m, facts, file, cover);
  if (a != answer::found)
    return a;
  found.start = facts.start + cover.best.start;
  found.size = cover.best.size;
  found.from = facts.start + cover.from;
  found.until = facts.start + cover.until;
  uint32_t name = cover.best.name & ~symbol_is_local;
  return m.source.strings ? name_copy(m, name, found) : name_read(m, facts, file, name, found);
}

} // namespace

bool symbol_find(const module_facts &facts, uintptr_t address, symbol &found) {
  if (address < facts.start || address >= facts.end)
    return false;
  long file = -1;
  known_module &m = module_of(facts, file);
  answer a = module_ask(m, facts, file, address, found);
  // What was read of another file says nothing: then once more.
  if (a == answer::other_file) {
    module_open(m, facts, file);
    a = module_ask(m, facts, file, address, found);
  }
  if (file >= 0)
    symbol_file_close(file);
  return a == answer::found;
}

size_t symbols_bytes() { return symbol_index_bytes(); }

} // namespace m9
