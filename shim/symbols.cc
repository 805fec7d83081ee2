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
// more. Items are numbered from 1: a number in the table in memory (whose symbol 0 is none), or one in `entries`. Those
// whose start has bucket b in its high bits are first[b], the one next to that, and so on until 0.
struct symbol_index {
  size_t bytes;
  const void *dynamic;
  symbol_file file;              // count 0: none, or they are in memory, too
  dynamic_symbols dynamic_table; // count 0: not used
  unsigned shift;
  uint32_t *first, *next;
  entry *entries; // of the file
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
constexpr unsigned symbols_per_bucket = 1;

// Nearly all of it is written to at once.
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

// Calls f(symbol number, entry) for all that are of use, the last first, from memory or from the file by way of a
// buffer.
template <class F>
void symbols_each(const module_facts &facts, const symbol_index &index, long file, Elf64_Sym *buffer, F f) {
  uint64_t left = index.file.count ? index.file.count : index.dynamic_table.count;
  while (left != 0) {
    uint64_t n = left < buffer_symbols ? left : buffer_symbols;
    left -= n;
    const Elf64_Sym *symbols = buffer;
    if (index.file.count)
      n = symbol_file_read(file, index.file.table + left * sizeof *buffer, buffer, n * sizeof *buffer) / sizeof *buffer;
    else
      symbols = index.dynamic_table.symbols + left;
    entry e;
    for (uint64_t k = n; k-- > 0;)
      if (symbol_entry(symbols[k], facts, e))
        f(uint32_t(left + k), e);
  }
}

// `made` says where the symbols come from.
symbol_index *index_fill(const module_facts &facts, symbol_index &made, long file) {
  uint64_t in_file = made.file.count, symbols = in_file + made.dynamic_table.count;
  while (((facts.end - facts.start) >> made.shift) > symbols / symbols_per_bucket + 16)
    made.shift++;
  size_t buckets = ((facts.end - facts.start) >> made.shift) + 1;
  size_t entries_at = sizeof made + (buckets + symbols + 1) * sizeof *made.first;
  size_t buffer_at = whole_pages(entries_at + in_file * sizeof(entry));
  size_t bytes = buffer_at + whole_pages((in_file < buffer_symbols ? in_file : buffer_symbols) * sizeof(Elf64_Sym));
  uintptr_t pages = map(bytes);
  if (!pages)
    return nullptr;
  auto *index = reinterpret_cast<symbol_index *>(pages);
  *index = made;
  index->first = reinterpret_cast<uint32_t *>(index + 1);
  index->next = index->first + buckets;
  index->entries = reinterpret_cast<entry *>(pages + entries_at);
  uint32_t used = 0;
  auto add = [&](uint32_t number, const entry &e) {
    if (in_file)
      index->entries[used] = e;
    uint32_t item = in_file ? ++used : number;
    if (item == 0)
      return;
    uint32_t &first = index->first[e.start >> made.shift];
    index->next[item] = first;
    first = item;
  };
  symbols_each(facts, made, file, reinterpret_cast<Elf64_Sym *>(pages + buffer_at), add);
  index->bytes = whole_pages(entries_at + used * sizeof(entry));
  if (index->bytes < bytes)
    unmap(pages + index->bytes, bytes - index->bytes);
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
  symbol_index *index = index_fill(facts, made, file);
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

struct range {
  uint64_t from, until;
};

// Cuts what is known to be the same function to the bucket of `at`, and on to where another symbol may begin.
void range_cut(const symbol_index &index, uint32_t at, range &same) {
  uint64_t b = (at >> index.shift) + 1;
  while (b << index.shift < same.until && index.first[b] == 0)
    b++;
  same.until = same.until < b << index.shift ? same.until : b << index.shift;
}

// The last function to start at or before `at`, where `at` is inside of it; of its names, one that others may use.
bool index_find(const symbol_index &index, const module_facts &facts, uint32_t at, entry &best, range &same) {
  same = {0, facts.end - facts.start};
  for (uint32_t b = at >> index.shift;; b--) {
    bool any = false, found = false;
    for (uint32_t i = index.first[b]; i != 0; i = index.next[i]) {
      entry e;
      if (index.file.count)
        e = index.entries[i - 1];
      else if (!symbol_entry(index.dynamic_table.symbols[i], facts, e))
        continue;
      if (e.start > at) {
        same.until = same.until < e.start ? same.until : e.start;
        continue;
      }
      any = true;
      if (at - e.start >= e.size) {
        uint64_t end = uint64_t{e.start} + e.size;
        same.from = same.from > end ? same.from : end;
        continue;
      }
      bool better =
          !found || e.start > best.start || (e.start == best.start && (best.name & is_local) > (e.name & is_local));
      if (better) {
        best = e;
        found = true;
      }
    }
    // What starts in an earlier bucket lies behind what starts in this one.
    if (!any && b != 0)
      continue;
    if (!found)
      return false;
    uint64_t end = uint64_t{best.start} + best.size;
    same.from = same.from > best.start ? same.from : best.start;
    same.until = same.until < end ? same.until : end;
    range_cut(index, at, same);
    return true;
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
    const char *name = table.strings + offset;
    if (auto *end = static_cast<const char *>(__builtin_memchr(name, 0, size)))
      size = size_t(end - name);
    __builtin_memcpy(found.name, name, size);
    found.name[size] = 0;
  }
  return found.name[0] != 0;
}

} // namespace

bool symbol_find(const module_facts &facts, uintptr_t address, symbol &found) {
  if (address < facts.start || address >= facts.end)
    return false;
  const symbol_index *index = index_of(facts);
  entry e{};
  range same;
  if (!index || !index_find(*index, facts, uint32_t(address - facts.start), e, same))
    return false;
  // Where the file is another one by now, what was read of it says nothing: then once more.
  if (!name_copy(*index, facts, e.name & ~is_local, found) &&
      (!index->file.count || !(index = index_anew(facts)) ||
       !index_find(*index, facts, uint32_t(address - facts.start), e, same) ||
       !name_copy(*index, facts, e.name & ~is_local, found)))
    return false;
  found.start = facts.start + e.start;
  found.size = e.size;
  found.from = facts.start + same.from;
  found.until = facts.start + same.until;
  return true;
}

size_t symbols_bytes() { return mapped_bytes; }

} // namespace m9
