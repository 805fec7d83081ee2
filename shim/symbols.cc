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
  uint32_t name; // offset in the string table, and is_local
};
constexpr uint32_t is_local = 0x80000000;
constexpr uint64_t symbols_most = uint64_t{1} << 23; // beyond, a table is left alone

// Lies at the start of its own pages; the arrays follow. The symbols are those in memory, or the file's where it has
// more. Those whose start has bucket b in its high bits are items[first[b]] to items[first[b + 1]]: as good as sorted.
struct symbol_index {
  size_t bytes;
  const void *dynamic;
  symbol_file file;              // count 0: none, or they are in memory, too
  dynamic_symbols dynamic_table; // count 0: not used
  unsigned shift;
  uint32_t buckets;
  uint32_t *first; // buckets + 2 of them
  union {
    entry *entries;    // of the file
    uint32_t *numbers; // of symbols in memory
  };
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

// All of it is written to at once.
uintptr_t map(size_t bytes) {
  uintptr_t p = pages_map(bytes);
  mapped_bytes += p ? bytes : 0;
  if (p)
    pages_populate(p, bytes, true);
  return p;
}
void unmap(uintptr_t p, size_t bytes) {
  pages_unmap(p, bytes);
  mapped_bytes -= bytes;
}
constexpr size_t whole_pages(size_t bytes) { return (bytes + 4095) & ~size_t{4095}; }

// Whether a symbol is of use. Tables have functions and data in turn, which no branch predictor knows.
[[gnu::always_inline]] inline bool symbol_entry(const Elf64_Sym &s, const module_facts &facts, entry &e) {
  constexpr unsigned kinds = 1 << STT_FUNC | 1 << STT_GNU_IFUNC | 1 << STT_NOTYPE;
  uint64_t at = facts.base + s.st_value - facts.start;
  e = {uint32_t(at), uint32_t(s.st_size), s.st_name | (s.st_info >> 4 == STB_LOCAL ? is_local : 0)};
  bool code = (kinds >> (s.st_info & 15)) & 1, inside = at < facts.end - facts.start;
  return code & inside & (s.st_shndx != SHN_UNDEF) & (s.st_size - 1 < UINT32_MAX) & (s.st_name < is_local);
}

// Calls f(symbol number, entry, whether it is of use) for all, from memory or from the file by way of a buffer.
template <class F>
void symbols_each(const module_facts &facts, const symbol_index &index, long file, Elf64_Sym *buffer, F f) {
  uint64_t count = index.file.count ? index.file.count : index.dynamic_table.count;
  for (uint64_t i = 0; i < count; i += buffer_symbols) {
    uint64_t n = count - i < buffer_symbols ? count - i : buffer_symbols;
    const Elf64_Sym *symbols = buffer;
    if (index.file.count)
      n = symbol_file_read(file, index.file.table + i * sizeof *buffer, buffer, n * sizeof *buffer) / sizeof *buffer;
    else
      symbols = index.dynamic_table.symbols + i;
    entry e;
    for (uint64_t k = 0; k < n; k++) {
      bool good = symbol_entry(symbols[k], facts, e);
      f(uint32_t(i + k), e, good);
    }
  }
}

// Room for the making of an index: what is read of the file, counts by bucket, and the items in the table's order.
struct workshop {
  uintptr_t pages;
  size_t bytes;
  Elf64_Sym *buffer;
  uint32_t *counts;
  union {
    entry *entries;
    uint32_t *numbers;
  };
};

bool workshop_open(workshop &w, const symbol_index &made) {
  size_t buffer_bytes = made.file.count ? whole_pages(buffer_symbols * sizeof(Elf64_Sym)) : 0;
  size_t counts_bytes = whole_pages((made.buckets + 2) * sizeof *made.first);
  size_t items_bytes = made.file.count * sizeof(entry) + made.dynamic_table.count * sizeof(uint32_t);
  w.bytes = buffer_bytes + counts_bytes + whole_pages(items_bytes);
  w.pages = map(w.bytes);
  w.buffer = reinterpret_cast<Elf64_Sym *>(w.pages);
  w.counts = reinterpret_cast<uint32_t *>(w.pages + buffer_bytes);
  w.entries = reinterpret_cast<entry *>(w.pages + buffer_bytes + counts_bytes);
  return w.pages != 0;
}

symbol_index *index_fill(const module_facts &facts, symbol_index &made, long file, const workshop &w) {
  uint32_t usable = 0;
  bool in_memory = made.file.count == 0;
  symbols_each(facts, made, file, w.buffer, [&](uint32_t number, const entry &e, bool good) {
    w.counts[good ? (e.start >> made.shift) + 2 : 0]++;
    if (in_memory)
      w.numbers[usable] = number;
    else
      w.entries[usable] = e;
    usable += good;
  });
  w.counts[0] = 0;
  for (uint32_t b = 2; b < made.buckets + 2; b++)
    w.counts[b] += w.counts[b - 1];
  size_t first_bytes = (made.buckets + 2) * sizeof *made.first;
  made.bytes = whole_pages(sizeof made + first_bytes + usable * (in_memory ? sizeof(uint32_t) : sizeof(entry)));
  auto *index = reinterpret_cast<symbol_index *>(map(made.bytes));
  if (!index)
    return nullptr;
  made.first = reinterpret_cast<uint32_t *>(index + 1);
  made.numbers = made.first + made.buckets + 2;
  __builtin_memcpy(made.first, w.counts, first_bytes);
  // first[b + 1] is where bucket b goes on, and ends up as its end, which is where bucket b + 1 starts.
  auto next = [&](uint32_t start) -> uint32_t & { return made.first[(start >> made.shift) + 1]; };
  for (uint32_t i = 0; in_memory && i < usable; i++) {
    uint64_t at = facts.base + made.dynamic_table.symbols[w.numbers[i]].st_value - facts.start;
    made.numbers[next(uint32_t(at))++] = w.numbers[i];
  }
  for (uint32_t i = 0; !in_memory && i < usable; i++)
    made.entries[next(w.entries[i].start)++] = w.entries[i];
  *index = made;
  return index;
}

// Chooses where the symbols come from; `opened`: made.file is known.
void tables_choose(const module_facts &facts, symbol_index &made, bool opened) {
  dynamic_symbols &memory = made.dynamic_table;
  if (!opened || made.file.count > symbols_most)
    made.file.count = 0;
  // The file says how many there are, for which in memory all of a hash table would have to be read. It may be another
  // file by now: more than fit in front of the strings, which linkers put behind the symbols, are not believed.
  if (made.file.count != 0 && made.file.dynamic && dynamic_strings_of(facts, memory) && memory.symbols &&
      memory.strings_size == made.file.strings_size &&
      reinterpret_cast<uintptr_t>(memory.symbols) < reinterpret_cast<uintptr_t>(memory.strings) &&
      made.file.count <= (reinterpret_cast<uintptr_t>(memory.strings) - reinterpret_cast<uintptr_t>(memory.symbols)) /
                             sizeof(Elf64_Sym)) {
    memory.count = made.file.count;
    made.file.count = 0;
    return;
  }
  if (made.file.count != 0 || !dynamic_symbols_of(facts, memory) || memory.count > symbols_most)
    memory = {};
}

symbol_index *index_make(const module_facts &facts) {
  symbol_index made{};
  long file = -1;
  if (facts.end - facts.start > UINT32_MAX)
    return nullptr;
  bool opened = symbol_file_open(facts, made.file, file);
  tables_choose(facts, made, opened);
  made.dynamic = facts.dynamic;
  uint64_t symbols = made.dynamic_table.count + made.file.count;
  while (((facts.end - facts.start) >> made.shift) > symbols / symbols_per_bucket + 16)
    made.shift++;
  made.buckets = uint32_t((facts.end - facts.start) >> made.shift) + 1;
  symbol_index *index = nullptr;
  workshop w;
  if (workshop_open(w, made)) {
    index = index_fill(facts, made, file, w);
    unmap(w.pages, w.bytes);
  }
  if (opened)
    symbol_file_close(file);
  return index;
}

// The name that was last read from a file: half of all questions are about the function before.
constinit struct {
  const symbol_index *index; // nullptr: none
  uint32_t offset;
  char name[sizeof symbol::name];
} last_read = {};

void index_drop(symbol_index *index) {
  last_read.index = nullptr;
  if (index)
    unmap(reinterpret_cast<uintptr_t>(index), index->bytes);
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
    index_drop(m.index);
    m = {};
    slot = &m;
  }
  if (!slot && modules_count < modules_indexed)
    slot = &modules[modules_count++];
  if (!slot) {
    slot = &modules[modules_next++ % modules_indexed];
    index_drop(slot->index);
  }
  slot->start = facts.start;
  slot->end = facts.end;
  __builtin_memcpy(slot->build_id, facts.build_id, sizeof slot->build_id);
  slot->index = index_make(facts);
  return slot->index;
}

// The same, read again.
symbol_index *index_anew(const module_facts &facts) {
  for (unsigned i = 0; i < modules_count; i++)
    if (auto &m = modules[i]; m.index && same_module(m, facts)) {
      index_drop(m.index);
      m.index = index_make(facts);
      return m.index;
    }
  return nullptr;
}

// The last function to start at or before `at`, where `at` is inside of it; of its names, one that others may use.
bool index_find(const symbol_index &index, const module_facts &facts, uint32_t at, entry &best) {
  for (uint32_t b = at >> index.shift;; b--) {
    bool any = false, found = false;
    for (uint32_t i = index.first[b]; i < index.first[b + 1]; i++) {
      entry e;
      if (index.file.count)
        e = index.entries[i];
      else if (!symbol_entry(index.dynamic_table.symbols[index.numbers[i]], facts, e))
        continue;
      if (e.start > at)
        continue;
      any = true;
      bool better =
          !found || e.start > best.start || (e.start == best.start && (best.name & is_local) > (e.name & is_local));
      if (at - e.start < e.size && better) {
        best = e;
        found = true;
      }
    }
    // What starts in an earlier bucket lies behind what starts in this one.
    if (any || b == 0)
      return found;
  }
}

bool name_read(const symbol_index &index, const module_facts &facts, uint32_t offset) {
  if (last_read.index == &index && last_read.offset == offset)
    return true;
  long descriptor;
  last_read.index = nullptr;
  if (offset >= index.file.strings_size || !symbol_file_reopen(facts, index.file, descriptor))
    return false;
  size_t size = symbol_file_read(descriptor, index.file.strings + offset, last_read.name, sizeof last_read.name - 1);
  symbol_file_close(descriptor);
  last_read.name[size] = 0;
  last_read.index = &index;
  last_read.offset = offset;
  return true;
}

bool name_copy(const symbol_index &index, const module_facts &facts, uint32_t offset, symbol &found) {
  size_t size = sizeof found.name - 1;
  if (index.file.count) {
    if (!name_read(index, facts, offset))
      return false;
    __builtin_memcpy(found.name, last_read.name, sizeof found.name);
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
  if (!index || !index_find(*index, facts, uint32_t(address - facts.start), e))
    return false;
  // Where the file is another one by now, what was read of it says nothing: then once more.
  if (!name_copy(*index, facts, e.name & ~is_local, found) &&
      (!index->file.count || !(index = index_anew(facts)) ||
       !index_find(*index, facts, uint32_t(address - facts.start), e) ||
       !name_copy(*index, facts, e.name & ~is_local, found)))
    return false;
  found.start = facts.start + e.start;
  found.size = e.size;
  return true;
}

size_t symbols_bytes() { return mapped_bytes; }

} // namespace m9
