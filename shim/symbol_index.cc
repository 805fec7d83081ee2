// SPDX-License-Identifier: BSD-2-Clause
#include "shim/symbol_index.h"

#include "shim/pages.h"

namespace m9 {

namespace {
using symbol_number = uint32_t; // of a symbol in memory
struct symbol_bucket {
  uint32_t first; // number of an item
  uint32_t reach; // where the last one ends of those in earlier buckets
};
} // namespace

// Lies at the start of its own pages; the arrays follow. Items, which are numbers or entries, are sorted by the high
// bits of where they start above the lowest: those of a bucket are from its first up to the next one's.
struct symbol_index {
  size_t bytes;
  unsigned shift;
  uint32_t used, lowest, highest; // how many items; where the first and the last of them start
  uint32_t buckets;
  symbol_bucket *bucket;    // and one more
  const Elf64_Sym *symbols; // in memory; nullptr: items are entries
  void *items;
};

namespace {

constexpr uint64_t buffer_symbols = 16384 / sizeof(Elf64_Sym), symbols_per_bucket = 4;
alignas(4096) constinit Elf64_Sym buffer[buffer_symbols] = {}; // of a file, under the lock of whoever asks
constinit size_t mapped_bytes = 0;

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
[[gnu::always_inline]] inline bool entry_make(const Elf64_Sym &s, const module_facts &facts, symbol_entry &e) {
  constexpr unsigned kinds = 1 << STT_FUNC | 1 << STT_GNU_IFUNC | 1 << STT_NOTYPE;
  // Read once: where a file is written to, what is mapped of it changes, too.
  uint64_t at = facts.base + *const_cast<const volatile Elf64_Addr *>(&s.st_value) - facts.start;
  e = {uint32_t(at), uint32_t(s.st_size), s.st_name | (s.st_info >> 4 == STB_LOCAL ? symbol_is_local : 0)};
  bool code = (kinds >> (s.st_info & 15)) & 1, inside = at < facts.end - facts.start;
  return code & inside & (s.st_shndx != SHN_UNDEF) & (s.st_size - 1 < UINT32_MAX) & (s.st_name < symbol_is_local);
}

// Calls f(entry, number) for all that are of use, from memory or from the file.
template <class F> void symbols_each(const module_facts &facts, const symbol_source &source, long file, F f) {
  for (uint64_t at = 0; at < source.count;) {
    uint64_t n = source.count - at;
    const Elf64_Sym *symbols = source.symbols ? source.symbols + at : buffer;
    if (!source.symbols) {
      n = n < buffer_symbols ? n : buffer_symbols;
      n = symbol_file_read(file, source.file.table + at * sizeof *buffer, buffer, n * sizeof *buffer) / sizeof *buffer;
      if (n == 0)
        return; // it is cut short
    }
    symbol_entry e;
    for (uint64_t k = 0; k < n; k++)
      if (entry_make(symbols[k], facts, e))
        f(e, uint32_t(at + k));
    at += n;
  }
}

uint32_t bucket_of(const symbol_index &index, uint32_t start) { return (start - index.lowest) >> index.shift; }
bool has_bucket(const symbol_index &index, const symbol_entry &e) {
  return e.start >= index.lowest && e.start <= index.highest;
}
constexpr uint64_t buckets_for(uint64_t symbols) { return symbols / symbols_per_bucket + 16; }

void item_set(symbol_entry &item, const symbol_entry &e, uint32_t) { item = e; }
void item_set(symbol_number &item, const symbol_entry &, uint32_t number) { item = number; }
uint32_t item_start(const symbol_index &, const module_facts &, const symbol_entry &item) { return item.start; }
uint32_t item_start(const symbol_index &index, const module_facts &facts, symbol_number item) {
  return uint32_t(facts.base + index.symbols[item].st_value - facts.start);
}
bool item_entry(const symbol_index &, const module_facts &, const symbol_entry &item, symbol_entry &e) {
  e = item;
  return true;
}
bool item_entry(const symbol_index &index, const module_facts &facts, symbol_number item, symbol_entry &e) {
  return entry_make(index.symbols[item], facts, e);
}

// Symbols are gone through three times: to see where they lie, to count what is in each bucket, and to put each where
// it belongs. A file may say something else each time: then items are wrong, but none lies outside.
struct symbol_range {
  uint32_t used = 0, lowest = UINT32_MAX, highest = 0;
};
symbol_range range_find(const module_facts &facts, const symbol_source &source, long file) {
  symbol_range r;
  symbols_each(facts, source, file, [&](const symbol_entry &e, uint32_t) {
    r.used++;
    r.lowest = r.lowest < e.start ? r.lowest : e.start;
    r.highest = r.highest > e.start ? r.highest : e.start;
  });
  return r;
}

// `first` is where the bucket's items end, and begin once all are in.
void buckets_fill(symbol_index &index, const module_facts &facts, const symbol_source &source, long file) {
  symbols_each(facts, source, file, [&](const symbol_entry &e, uint32_t) {
    if (!has_bucket(index, e))
      return;
    uint32_t end = e.start + e.size < e.start ? UINT32_MAX : e.start + e.size, b = bucket_of(index, e.start);
    uint32_t &reach = index.bucket[b + 1].reach;
    index.bucket[b].first++;
    reach = reach > end ? reach : end;
  });
  symbol_bucket before = {};
  for (uint32_t i = 0; i <= index.buckets; i++) {
    symbol_bucket &b = index.bucket[i];
    b.first = before.first + b.first < index.used ? before.first + b.first : index.used;
    b.reach = b.reach > before.reach ? b.reach : before.reach;
    before = b;
  }
}

template <class Item>
void items_fill(symbol_index &index, const module_facts &facts, const symbol_source &source, long file) {
  auto *items = static_cast<Item *>(index.items);
  symbols_each(facts, source, file, [&](const symbol_entry &e, uint32_t number) {
    if (!has_bucket(index, e))
      return;
    if (symbol_bucket &b = index.bucket[bucket_of(index, e.start)]; b.first > 0)
      item_set(items[--b.first], e, number);
  });
}

// Nearly always the one that starts last covers the address, and the others need not be read.
template <class Item>
void bucket_look(const symbol_index &index, const module_facts &facts, uint32_t b, symbol_cover &cover) {
  const Item *items = static_cast<const Item *>(index.items), *from = items + index.bucket[b].first,
             *end = items + index.bucket[b + 1].first;
  uint32_t last = 0; // where it starts, or 0
  for (const Item *i = from; i < end; i++)
    if (uint32_t start = item_start(index, facts, *i); start <= cover.at && start > last)
      last = start;
  symbol_entry e;
  for (const Item *i = from; i < end; i++)
    if (item_start(index, facts, *i) == last && item_entry(index, facts, *i, e))
      cover.look(e);
  for (const Item *i = cover.found ? end : from; i < end; i++)
    if (item_start(index, facts, *i) < last && item_entry(index, facts, *i, e))
      cover.look(e);
}

// Nothing is said beyond where another one may begin.
template <class Item>
void next_look(const symbol_index &index, const module_facts &facts, uint32_t b, symbol_cover &cover) {
  const Item *items = static_cast<const Item *>(index.items);
  for (uint32_t i = index.bucket[b].first; i < index.bucket[b + 1].first; i++)
    if (uint32_t start = item_start(index, facts, items[i]); start > cover.at)
      cover.until = cover.until < start ? cover.until : start;
  uint64_t next = uint64_t{b} + 1, beyond = index.lowest + (next << index.shift);
  for (; beyond < cover.until && next < index.buckets && index.bucket[next].first == index.bucket[next + 1].first;
       next++)
    beyond += uint64_t{1} << index.shift;
  if (beyond < cover.until && next < index.buckets)
    cover.until = beyond;
}

template <class Item> bool index_find(const symbol_index &index, const module_facts &facts, symbol_cover &cover) {
  if (cover.at < index.lowest)
    return false;
  uint32_t b = bucket_of(index, cover.at < index.highest ? cover.at : index.highest);
  next_look<Item>(index, facts, b, cover);
  bucket_look<Item>(index, facts, b, cover);
  while (!cover.found && index.bucket[b].reach > cover.at) // of bucket 0, that is 0
    bucket_look<Item>(index, facts, --b, cover);
  return cover.finish();
}

// Of two that start at the same address.
bool better_symbol(const symbol_entry &e, const symbol_entry &than) {
  if ((e.name ^ than.name) & symbol_is_local)
    return !(e.name & symbol_is_local);
  return e.name != than.name ? e.name < than.name : e.size > than.size;
}

} // namespace

void symbol_cover::look(const symbol_entry &e) {
  uint64_t end = uint64_t{e.start} + e.size;
  if (e.start > at) {
    until = until < e.start ? until : e.start;
  } else if (end <= at) {
    from = from > end ? from : end;
  } else if (!found || e.start > best.start || (e.start == best.start && better_symbol(e, best))) {
    best = e;
    found = true;
  }
}

bool symbol_cover::finish() {
  uint64_t end = uint64_t{best.start} + best.size;
  from = from > best.start ? from : best.start;
  until = until < end ? until : end;
  return found;
}

bool symbols_scan(const module_facts &facts, const symbol_source &source, long file, symbol_cover &cover) {
  symbols_each(facts, source, file, [&](const symbol_entry &e, uint32_t) { cover.look(e); });
  return cover.finish();
}

symbol_index *symbol_index_make(const module_facts &facts, const symbol_source &source, long file) {
  symbol_range range = range_find(facts, source, file);
  uint64_t most = buckets_for(range.used);
  size_t items_at = sizeof(symbol_index) + (most + 1) * sizeof(symbol_bucket);
  size_t bytes = whole_pages(items_at + range.used * (source.symbols ? sizeof(symbol_number) : sizeof(symbol_entry)));
  uintptr_t pages = map(bytes);
  if (!pages)
    return nullptr;
  auto &index = *reinterpret_cast<symbol_index *>(pages);
  index.bytes = bytes;
  index.used = range.used;
  index.lowest = range.used ? range.lowest : 0;
  index.highest = range.highest;
  while ((index.highest - index.lowest) >> index.shift >= most)
    index.shift++;
  index.buckets = bucket_of(index, index.highest) + 1;
  index.symbols = source.symbols;
  index.bucket = reinterpret_cast<symbol_bucket *>(&index + 1);
  index.items = reinterpret_cast<void *>(pages + items_at);
  buckets_fill(index, facts, source, file);
  auto *fill = source.symbols ? items_fill<symbol_number> : items_fill<symbol_entry>;
  fill(index, facts, source, file);
  return &index;
}

void symbol_index_drop(symbol_index *index) {
  if (index)
    unmap(reinterpret_cast<uintptr_t>(index), index->bytes);
}

bool symbol_index_find(const symbol_index &index, const module_facts &facts, symbol_cover &cover) {
  return index.symbols ? index_find<symbol_number>(index, facts, cover) : index_find<symbol_entry>(index, facts, cover);
}

size_t symbol_index_bytes() { return mapped_bytes; }

} // namespace m9
