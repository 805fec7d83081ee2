// SPDX-License-Identifier: BSD-2-Clause
#include "shim/symbols.h"

#include "shim/elf_symbols.h"
#include "shim/pages.h"
#include "shim/text.h"

namespace m9 {
namespace {

struct entry {
  uint32_t start; // from the module's start
  uint32_t size;
  uint32_t name; // offset in its string table; the top bit: the file's
};
constexpr uint32_t name_in_file = 0x80000000;
constexpr uint64_t symbols_most = uint64_t{1} << 23; // beyond, a table is left alone

// Lies at the start of its own pages; first[] and entries[] follow. The entries whose start has bucket b in its high
// bits are entries[first[b]] to entries[first[b + 1]]: as good as sorted, for two reads of the tables.
struct symbol_index {
  size_t bytes;
  const void *dynamic;
  symbol_file file; // count 0: none
  dynamic_symbols dynamic_table;
  unsigned shift;
  uint32_t buckets;
  uint32_t *first; // buckets + 2 of them
  entry *entries;
};

struct indexed_module {
  uintptr_t start, end;
  uint8_t build_id[sizeof module_facts::build_id];
  symbol_index *index; // nullptr: no memory
};
constexpr unsigned modules_indexed = 1024; // beyond, the oldest makes room
constinit indexed_module modules[modules_indexed] = {};
constinit unsigned modules_count = 0, modules_next = 0;
constinit size_t mapped_bytes = 0;

constexpr size_t buffer_symbols = 2048;

uintptr_t map(size_t bytes) {
  uintptr_t p = pages_map(bytes);
  mapped_bytes += p ? bytes : 0;
  return p;
}
void unmap(uintptr_t p, size_t bytes) {
  pages_unmap(p, bytes);
  mapped_bytes -= bytes;
}
constexpr size_t whole_pages(size_t bytes) { return (bytes + 4095) & ~size_t{4095}; }

bool symbol_entry(const Elf64_Sym &s, const module_facts &facts, entry &e) {
  unsigned kind = s.st_info & 15;
  uint64_t at = facts.base + s.st_value - facts.start;
  if (s.st_shndx == SHN_UNDEF || (kind != STT_FUNC && kind != STT_GNU_IFUNC && kind != STT_NOTYPE) || s.st_size == 0 ||
      s.st_size > UINT32_MAX || at >= facts.end - facts.start || s.st_name >= name_in_file)
    return false;
  e = {uint32_t(at), uint32_t(s.st_size), s.st_name};
  return true;
}

// Calls use(entry) for every symbol, .dynsym's first. The buffer is for the file's.
template <typename F>
void symbols_each(const symbol_index &index, const module_facts &facts, long file, Elf64_Sym *buffer, F use) {
  entry e;
  for (size_t i = 1; i < index.dynamic_table.count; i++)
    if (symbol_entry(index.dynamic_table.symbols[i], facts, e))
      use(e);
  for (uint64_t i = 0; i < index.file.count; i += buffer_symbols) {
    uint64_t n = index.file.count - i < buffer_symbols ? index.file.count - i : buffer_symbols;
    n = symbol_file_read(file, index.file.table + i * sizeof *buffer, buffer, n * sizeof *buffer) / sizeof *buffer;
    for (uint64_t k = 0; k < n; k++)
      if (symbol_entry(buffer[k], facts, e)) {
        e.name |= name_in_file;
        use(e);
      }
  }
}

// Counts what each bucket holds, then puts each symbol into its bucket: a file that changes between the two passes
// cannot make the second write more than the first one counted.
void index_fill(symbol_index &index, const module_facts &facts, long file, Elf64_Sym *buffer) {
  symbols_each(index, facts, file, buffer, [&index](const entry &e) { index.first[(e.start >> index.shift) + 2]++; });
  for (uint32_t b = 2; b < index.buckets + 2; b++)
    index.first[b] += index.first[b - 1];
  uint32_t counted = index.first[index.buckets + 1];
  // first[b + 1] is where bucket b goes on, and ends up as its end, which is where bucket b + 1 starts.
  symbols_each(index, facts, file, buffer, [&index, counted](const entry &e) {
    uint32_t &next = index.first[(e.start >> index.shift) + 1];
    if (next < counted)
      index.entries[next++] = e;
  });
}

symbol_index *index_make(const module_facts &facts) {
  symbol_index made{};
  long file = -1;
  if (facts.end - facts.start > UINT32_MAX)
    return nullptr;
  if (!dynamic_symbols_of(facts, made.dynamic_table))
    made.dynamic_table.count = 0;
  if (!symbol_file_open(facts, made.file, file))
    made.file.count = 0;
  if (made.file.count > symbols_most) {
    symbol_file_close(file);
    made.file.count = 0;
  }
  made.dynamic = facts.dynamic;
  uint64_t symbols = made.dynamic_table.count + made.file.count;
  while (((facts.end - facts.start) >> made.shift) > symbols / 2 + 16)
    made.shift++;
  made.buckets = uint32_t((facts.end - facts.start) >> made.shift) + 1;
  made.bytes = whole_pages(sizeof made + (made.buckets + 2) * sizeof *made.first + symbols * sizeof *made.entries);
  size_t buffer_bytes = made.file.count ? buffer_symbols * sizeof(Elf64_Sym) : 0;
  uintptr_t buffer = buffer_bytes ? map(buffer_bytes) : 0;
  uintptr_t pages = buffer || !buffer_bytes ? map(made.bytes) : 0;
  auto *index = reinterpret_cast<symbol_index *>(pages);
  if (index) {
    made.first = reinterpret_cast<uint32_t *>(index + 1);
    made.entries = reinterpret_cast<entry *>(made.first + made.buckets + 2);
    *index = made;
    index_fill(*index, facts, file, reinterpret_cast<Elf64_Sym *>(buffer));
  }
  if (buffer)
    unmap(buffer, buffer_bytes);
  if (made.file.count)
    symbol_file_close(file);
  return index;
}

bool same_module(const indexed_module &m, const module_facts &facts) {
  return m.start == facts.start && m.end == facts.end && (!m.index || m.index->dynamic == facts.dynamic) &&
         __builtin_memcmp(m.build_id, facts.build_id, sizeof m.build_id) == 0;
}

// The index of a module; whatever is remembered of others that lay there is dropped.
symbol_index *index_of(const module_facts &facts) {
  indexed_module *slot = nullptr;
  for (unsigned i = 0; i < modules_count; i++) {
    auto &m = modules[i];
    if (m.start >= facts.end || m.end <= facts.start)
      continue;
    if (same_module(m, facts))
      return m.index;
    if (m.index)
      unmap(reinterpret_cast<uintptr_t>(m.index), m.index->bytes);
    m = {};
    slot = &m;
  }
  if (!slot && modules_count < modules_indexed)
    slot = &modules[modules_count++];
  if (!slot) {
    slot = &modules[modules_next++ % modules_indexed];
    if (slot->index)
      unmap(reinterpret_cast<uintptr_t>(slot->index), slot->index->bytes);
  }
  slot->start = facts.start;
  slot->end = facts.end;
  __builtin_memcpy(slot->build_id, facts.build_id, sizeof slot->build_id);
  slot->index = index_make(facts);
  return slot->index;
}

const entry *index_find(const symbol_index &index, uint32_t at) {
  for (uint32_t b = at >> index.shift;; b--) {
    const entry *best = nullptr;
    bool any = false;
    for (uint32_t i = index.first[b]; i < index.first[b + 1]; i++) {
      const entry &e = index.entries[i];
      any = any || e.start <= at;
      if (e.start <= at && at - e.start < e.size && (!best || e.start > best->start))
        best = &e;
    }
    // What starts in an earlier bucket lies behind what starts in this one.
    if (any || b == 0)
      return best;
  }
}

bool name_copy(const symbol_index &index, const module_facts &facts, const entry &e, symbol &found) {
  uint32_t offset = e.name & ~name_in_file;
  size_t size = sizeof found.name - 1;
  if (e.name & name_in_file) {
    long descriptor;
    if (offset >= index.file.strings_size || !symbol_file_reopen(facts, index.file, descriptor))
      return false;
    size = symbol_file_read(descriptor, index.file.strings + offset, found.name, size);
    symbol_file_close(descriptor);
    found.name[size] = 0;
  } else {
    const auto &table = index.dynamic_table;
    if (offset >= table.strings_size)
      return false;
    size = size < table.strings_size - offset ? size : table.strings_size - offset;
    size_t n = 0;
    for (; n < size && table.strings[offset + n]; n++)
      found.name[n] = table.strings[offset + n];
    found.name[n] = 0;
  }
  return found.name[0] != 0;
}

} // namespace

bool symbol_find(const module_facts &facts, uintptr_t address, symbol &found) {
  if (address < facts.start || address >= facts.end)
    return false;
  const symbol_index *index = index_of(facts);
  const entry *e = index ? index_find(*index, uint32_t(address - facts.start)) : nullptr;
  if (!e || !name_copy(*index, facts, *e, found))
    return false;
  found.start = facts.start + e->start;
  found.size = e->size;
  return true;
}

size_t symbols_bytes() { return mapped_bytes; }

} // namespace m9
