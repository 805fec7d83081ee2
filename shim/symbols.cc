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
  uint32_t name; // offset in its string table
};
constexpr uint64_t symbols_most = uint64_t{1} << 23; // beyond, a table is left alone

// Lies at the start of its own pages; the arrays follow. A symbol's number counts .dynsym's first, then the file's.
// Those whose start has bucket b in its high bits are order[first[b]] to order[first[b + 1]]: as good as sorted, for
// two passes over the tables.
struct symbol_index {
  size_t bytes;
  const void *dynamic;
  symbol_file file; // count 0: none
  dynamic_symbols dynamic_table;
  unsigned shift;
  uint32_t buckets;
  entry *file_entries; // copied, as the file may change
  uint32_t *first;     // buckets + 2 of them
  uint32_t *order;
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
constexpr unsigned symbols_per_bucket = 4;

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
      s.st_size > UINT32_MAX || at >= facts.end - facts.start)
    return false;
  e = {uint32_t(at), uint32_t(s.st_size), s.st_name};
  return true;
}

bool index_entry(const symbol_index &index, const module_facts &facts, uint32_t number, entry &e) {
  if (number < index.dynamic_table.count)
    return symbol_entry(index.dynamic_table.symbols[number], facts, e);
  e = index.file_entries[number - index.dynamic_table.count];
  return e.size != 0;
}

void file_entries_read(symbol_index &index, const module_facts &facts, long file, Elf64_Sym *buffer) {
  for (uint64_t i = 0; buffer && i < index.file.count; i += buffer_symbols) {
    uint64_t n = index.file.count - i < buffer_symbols ? index.file.count - i : buffer_symbols;
    n = symbol_file_read(file, index.file.table + i * sizeof *buffer, buffer, n * sizeof *buffer) / sizeof *buffer;
    for (uint64_t k = 0; k < n; k++)
      symbol_entry(buffer[k], facts, index.file_entries[i + k]); // else it stays 0, which is none
  }
}

// Counts what each bucket holds, then puts each symbol into its bucket.
void index_sort(symbol_index &index, const module_facts &facts) {
  auto symbols = uint32_t(index.dynamic_table.count + index.file.count);
  entry e;
  for (uint32_t i = 0; i < symbols; i++)
    if (index_entry(index, facts, i, e))
      index.first[(e.start >> index.shift) + 2]++;
  for (uint32_t b = 2; b < index.buckets + 2; b++)
    index.first[b] += index.first[b - 1];
  // first[b + 1] is where bucket b goes on, and ends up as its end, which is where bucket b + 1 starts.
  for (uint32_t i = 0; i < symbols; i++)
    if (index_entry(index, facts, i, e))
      index.order[index.first[(e.start >> index.shift) + 1]++] = i;
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
  if (made.dynamic_table.count > symbols_most)
    made.dynamic_table.count = 0;
  if (made.file.count > symbols_most) {
    symbol_file_close(file);
    made.file.count = 0;
  }
  made.dynamic = facts.dynamic;
  uint64_t symbols = made.dynamic_table.count + made.file.count;
  while (((facts.end - facts.start) >> made.shift) > symbols / symbols_per_bucket + 16)
    made.shift++;
  made.buckets = uint32_t((facts.end - facts.start) >> made.shift) + 1;
  made.bytes = whole_pages(sizeof made + made.file.count * sizeof *made.file_entries +
                           (made.buckets + 2) * sizeof *made.first + symbols * sizeof *made.order);
  size_t buffer_bytes = made.file.count ? buffer_symbols * sizeof(Elf64_Sym) : 0;
  uintptr_t buffer = buffer_bytes ? map(buffer_bytes) : 0;
  uintptr_t pages = buffer || !buffer_bytes ? map(made.bytes) : 0;
  auto *index = reinterpret_cast<symbol_index *>(pages);
  if (index) {
    made.file_entries = reinterpret_cast<entry *>(index + 1);
    made.first = reinterpret_cast<uint32_t *>(made.file_entries + made.file.count);
    made.order = made.first + made.buckets + 2;
    *index = made;
    file_entries_read(*index, facts, file, reinterpret_cast<Elf64_Sym *>(buffer));
    index_sort(*index, facts);
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

bool index_find(const symbol_index &index, const module_facts &facts, uint32_t at, uint32_t &number, entry &best) {
  for (uint32_t b = at >> index.shift;; b--) {
    bool any = false, found = false;
    for (uint32_t i = index.first[b]; i < index.first[b + 1]; i++) {
      entry e;
      if (!index_entry(index, facts, index.order[i], e) || e.start > at)
        continue;
      any = true;
      if (at - e.start < e.size && (!found || e.start > best.start)) {
        best = e;
        number = index.order[i];
        found = true;
      }
    }
    // What starts in an earlier bucket lies behind what starts in this one.
    if (any || b == 0)
      return found;
  }
}

bool name_copy(const symbol_index &index, const module_facts &facts, uint32_t number, uint32_t offset, symbol &found) {
  size_t size = sizeof found.name - 1;
  if (number >= index.dynamic_table.count) {
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
  entry e{};
  uint32_t number = 0;
  if (!index || !index_find(*index, facts, uint32_t(address - facts.start), number, e) ||
      !name_copy(*index, facts, number, e.name, found))
    return false;
  found.start = facts.start + e.start;
  found.size = e.size;
  return true;
}

size_t symbols_bytes() { return mapped_bytes; }

} // namespace m9
