// SPDX-License-Identifier: BSD-2-Clause
#include "shim/symbol_index.h"

#include "shim/pages.h"

namespace m9 {

namespace {
struct symbol_place { // of a symbol in memory
  uint32_t start;     // from the module's start
  uint32_t number;
};
struct symbol_bucket {
  uint32_t first; // number of an item
  uint32_t reach; // where the last one ends of those in earlier buckets
};
} // namespace

// Lies at the start of its own pages; the arrays follow. Items, which are places or entries, are sorted by the high
// bits of where they start above the lowest: those of a bucket are from its first up to the next one's.
struct symbol_index {
  size_t bytes;
  unsigned shift;
  uint32_t lowest, highest; // where a symbol starts
  uint32_t buckets;
  symbol_bucket *bucket;    // and one more
  const Elf64_Sym *symbols; // in memory; nullptr: items are entries
  void *items;
};

namespace {

constexpr uint64_t buffer_symbols = 512, scan_symbols = 4096 / sizeof(Elf64_Sym), symbols_per_bucket = 4;
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
  uint64_t at = facts.base + s.st_value - facts.start;
  e = {uint32_t(at), uint32_t(s.st_size), s.st_name | (s.st_info >> 4 == STB_LOCAL ? symbol_is_local : 0)};
  bool code = (kinds >> (s.st_info & 15)) & 1, inside = at < facts.end - facts.start;
  return code & inside & (s.st_shndx != SHN_UNDEF) & (s.st_size - 1 < UINT32_MAX) & (s.st_name < symbol_is_local);
}

// Calls f(entry, number) for all that are of use, from memory or from the file by way of a buffer of `room` symbols.
template <class F>
void symbols_each(const module_facts &facts, const symbol_source &source, long file, Elf64_Sym *buffer, uint64_t room,
                  F f) {
  for (uint64_t at = 0; at < source.count;) {
    uint64_t n = source.count - at;
    const Elf64_Sym *symbols = source.symbols ? source.symbols + at : buffer;
    if (!source.symbols) {
      n = n < room ? n : room;
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

// Each item goes to where the next one of its bucket belongs, by a swap with what is there. `next`: room for a number
// per bucket.
template <class Item> void items_sort(const symbol_index &index, Item *items, uint32_t *next) {
  for (uint32_t b = 0; b < index.buckets; b++)
    next[b] = index.bucket[b].first;
  for (uint32_t b = 0; b < index.buckets; b++)
    while (next[b] < index.bucket[b + 1].first) {
      Item &here = items[next[b]];
      uint32_t to = bucket_of(index, here.start);
      Item &there = items[next[to]++], moved = here;
      if (to != b) {
        here = there;
        there = moved;
      }
    }
}

symbol_entry item_of(const symbol_entry &e, uint32_t, symbol_entry *) { return e; }
symbol_place item_of(const symbol_entry &e, uint32_t number, symbol_place *) { return {e.start, number}; }
bool item_entry(const symbol_index &, const module_facts &, const symbol_entry &item, symbol_entry &e) {
  e = item;
  return true;
}
bool item_entry(const symbol_index &index, const module_facts &facts, const symbol_place &item, symbol_entry &e) {
  return entry_make(index.symbols[item.number], facts, e);
}

constexpr uint64_t buckets_for(uint64_t symbols) { return symbols / symbols_per_bucket + 16; }

// Sizes the buckets by where symbols are, which is often a small part of the module, and counts what is in each.
template <class Item> void buckets_fill(symbol_index &index, const module_facts &facts, uint32_t used) {
  while ((index.highest - index.lowest) >> index.shift >= buckets_for(used))
    index.shift++;
  index.buckets = bucket_of(index, index.highest) + 1;
  for (uint32_t i = 0; i < used; i++) {
    symbol_entry e{};
    const Item &item = static_cast<const Item *>(index.items)[i];
    item_entry(index, facts, item, e);
    symbol_bucket &next = index.bucket[bucket_of(index, item.start) + 1];
    uint32_t end = e.start + e.size < e.start ? UINT32_MAX : e.start + e.size;
    next.first++;
    next.reach = next.reach > end ? next.reach : end;
  }
  for (uint32_t b = 0; b < index.buckets; b++) {
    symbol_bucket &next = index.bucket[b + 1], before = index.bucket[b];
    next.first += before.first;
    next.reach = next.reach > before.reach ? next.reach : before.reach;
  }
}

// How many items there are. `spare`: pages for the time of reading and sorting.
template <class Item>
uint32_t index_fill(symbol_index &index, const module_facts &facts, const symbol_source &source, long file,
                    uintptr_t spare) {
  uint32_t used = 0;
  auto *items = static_cast<Item *>(index.items);
  index.lowest = UINT32_MAX;
  auto add = [&](const symbol_entry &e, uint32_t number) {
    items[used++] = item_of(e, number, items);
    index.lowest = index.lowest < e.start ? index.lowest : e.start;
    index.highest = index.highest > e.start ? index.highest : e.start;
  };
  symbols_each(facts, source, file, reinterpret_cast<Elf64_Sym *>(spare), buffer_symbols, add);
  if (used == 0)
    index.lowest = index.highest;
  buckets_fill<Item>(index, facts, used);
  items_sort(index, items, reinterpret_cast<uint32_t *>(spare));
  return used;
}

// Nearly always the one that starts last covers the address, and the others need not be read.
template <class Item>
void bucket_look(const symbol_index &index, const module_facts &facts, uint32_t b, symbol_cover &cover) {
  const Item *items = static_cast<const Item *>(index.items), *from = items + index.bucket[b].first,
             *end = items + index.bucket[b + 1].first, *last = nullptr;
  for (const Item *i = from; i < end; i++)
    if (i->start <= cover.at && (!last || i->start > last->start))
      last = i;
  symbol_entry e;
  for (const Item *i = last ? last : end; i < end; i++)
    if (i->start == last->start && item_entry(index, facts, *i, e))
      cover.look(e);
  for (const Item *i = cover.found || !last ? end : from; i < end; i++)
    if (i->start < last->start && item_entry(index, facts, *i, e))
      cover.look(e);
}

// Nothing is said beyond where another one may begin.
template <class Item> void next_look(const symbol_index &index, uint32_t b, symbol_cover &cover) {
  const Item *items = static_cast<const Item *>(index.items);
  for (uint32_t i = index.bucket[b].first; i < index.bucket[b + 1].first; i++)
    if (items[i].start > cover.at)
      cover.until = cover.until < items[i].start ? cover.until : items[i].start;
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
  next_look<Item>(index, b, cover);
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
  alignas(4096) static Elf64_Sym buffer[scan_symbols]; // large; under the caller's lock
  symbols_each(facts, source, file, buffer, scan_symbols, [&](const symbol_entry &e, uint32_t) { cover.look(e); });
  return cover.finish();
}

symbol_index *symbol_index_make(const module_facts &facts, const symbol_source &source, long file) {
  uint64_t buckets = buckets_for(source.count);
  size_t items_at = sizeof(symbol_index) + (buckets + 1) * sizeof(symbol_bucket),
         next_bytes = buckets * sizeof(uint32_t);
  size_t item_bytes = source.symbols ? sizeof(symbol_place) : sizeof(symbol_entry);
  size_t spare_at = whole_pages(items_at + source.count * item_bytes);
  size_t buffer_bytes =
      source.symbols ? 0 : (source.count < buffer_symbols ? source.count : buffer_symbols) * sizeof(Elf64_Sym);
  size_t bytes = spare_at + whole_pages(buffer_bytes > next_bytes ? buffer_bytes : next_bytes);
  uintptr_t pages = map(bytes);
  if (!pages)
    return nullptr;
  auto &index = *reinterpret_cast<symbol_index *>(pages);
  index.symbols = source.symbols;
  index.bucket = reinterpret_cast<symbol_bucket *>(&index + 1);
  index.items = reinterpret_cast<void *>(pages + items_at);
  auto *fill = source.symbols ? index_fill<symbol_place> : index_fill<symbol_entry>;
  uint32_t used = fill(index, facts, source, file, pages + spare_at);
  index.bytes = whole_pages(items_at + used * item_bytes);
  unmap(pages + index.bytes, bytes - index.bytes);
  return &index;
}

void symbol_index_drop(symbol_index *index) {
  if (index)
    unmap(reinterpret_cast<uintptr_t>(index), index->bytes);
}

bool symbol_index_find(const symbol_index &index, const module_facts &facts, symbol_cover &cover) {
  return index.symbols ? index_find<symbol_place>(index, facts, cover) : index_find<symbol_entry>(index, facts, cover);
}

size_t symbol_index_bytes() { return mapped_bytes; }

} // namespace m9
