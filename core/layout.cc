// SPDX-License-Identifier: BSD-2-Clause
#include "core/layout.h"

#include <atomic>

#include "core/cell.h"
#include "core/extent.h"
#include "core/meta.h"
#include "core/page_map.h"
#include "shim/pages.h"
#include "shim/process.h"
#include "shim/system.h"

namespace m9 {

constinit zone zones[zone_count] = {};
constinit uint64_t zones_base = 0;

namespace {

bool compact = false; // (i)
size_t page = 4096;   // (i)

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

size_t tags_bytes(const keg &k) { return round_up(size_t{k.slabs_most} * k.slab_items * sizeof(uint16_t), 65536); }
size_t records_bytes(const keg &k) { return round_up(size_t{k.slabs_most} * k.record_bytes, 65536); }

// All tables begin at different cache sets: the zones' first items, tags and records are the hot ones, and sets are
// chosen by the low address bits.
size_t stagger(unsigned c) { return (c * 5 % 64) * 64; }
// The items themselves keep their pages and their alignment, so they can differ in the bits above these only. That is
// worth it too: caches that predict the way by a hash of the linear address (AMD's since Bulldozer) hold just one of
// two lines whose bits 6 to 27 agree.
size_t stagger_items(unsigned c) {
  size_t alignment = class_size(c) & -class_size(c);
  return round_up(size_t{c} * 37 * 4096, alignment);
}
static_assert(zone_count * 37 * 4096 + 65536 <= zone_stagger_most);

void zone_describe(unsigned c) {
  zone &z = zones[c];
  z.size = uint32_t(class_size(c));
  z.reciprocal = UINT64_MAX / z.size + 1;
  z.cache = caches.at[c];
  z.cells = zone_cells_offset(c);
  z.cache_most = cache_most(c);
  z.gap = c == 0 ? 17 : uint32_t(class_size(c) - class_size(c - 1)); // 0 bytes are as good as 1
  keg_describe(c);
}

bool reserve() {
  size_t size = size_t{zone_count} << zone_shift;
  for (const keg &k : kegs)
    size += tags_bytes(k) + records_bytes(k) + 2 * 65536;
  uintptr_t p = pages_reserve(size + 65536);
  if (!p)
    return false;
  p = round_up(p, 65536);
  zones_base = p;
  uintptr_t table = p + (size_t{zone_count} << zone_shift);
  for (unsigned c = 0; c < zone_count; c++) {
    keg &k = kegs[c];
    k.items = {p + stagger_items(c), p + stagger_items(c), p + (size_t{1} << zone_shift)};
    p = k.items.end;
    zones[c].base = k.items.start;
    k.tags = {table + stagger(c), table, table + tags_bytes(k) + 65536};
    zones[c].tags = reinterpret_cast<uint16_t *>(k.tags.start);
    k.records = {k.tags.end, k.tags.end, k.tags.end + records_bytes(k)};
    table = k.records.end;
  }
  return true;
}

// Opens an area up to `need` bytes from its start, and a little more each time it grows.
bool area_open(area &a, size_t need, size_t step) {
  uintptr_t to = a.start + need;
  if (to <= a.open)
    return true;
  size_t more = a.open - (a.start & ~(page - 1));
  to = round_up(to + (more > 1024 * 1024 ? 1024 * 1024 : more), step > page ? step : page);
  if (to > a.end)
    to = a.end;
  if (!pages_open(a.open, to - a.open))
    return false;
  a.open = to;
  return true;
}

slab *compact_slab(unsigned c, uint32_t number) {
  keg &k = kegs[c];
  auto *s = static_cast<slab *>(meta_alloc(k.record_bytes));
  auto *tags = static_cast<uint16_t *>(meta_alloc(k.slab_items * sizeof(uint16_t)));
  if (!s || !tags)
    return nullptr;
  s->tags = tags;
  s->number = number;
  s->zone = uint8_t(c);
  return layout_slab_back(c, *s) ? s : nullptr;
}

// The pages of an idle slab's tags go too, where all slabs whose tags lie in a page are idle. Zones of large items have
// so few tags that it is not worth the search.
void tags_purge(const keg &k, uint32_t number) {
  size_t bytes = k.slab_items * sizeof(uint16_t);
  if (bytes < page / 16)
    return;
  uintptr_t start = k.tags.start + number * bytes;
  for (uintptr_t at = start & ~(page - 1); at < start + bytes; at += page) {
    uint64_t first = at < k.tags.start ? 0 : (at - k.tags.start) / bytes;
    uint64_t last = (at + page - 1 - k.tags.start) / bytes;
    bool idle = true;
    for (uint64_t i = first; i <= last && i < k.slabs; i++)
      idle = idle && keg_slab(k, uint32_t(i))->out == 0;
    if (idle)
      pages_purge(at, page);
  }
}

} // namespace

bool layout_is_compact() { return compact; }

void layout_start() {
  page = page_size();
  for (unsigned c = 0; c < zone_count; c++)
    zone_describe(c);
  page_map_start(page);
  compact = !reserve() || !percpu_reserve();
  if (compact)
    percpu_reserve_shared();
}

slab *layout_slab(unsigned c, uint32_t number) {
  if (compact)
    return compact_slab(c, number);
  keg &k = kegs[c];
  size_t bytes = class_slab_bytes(c), n = size_t{number} + 1;
  if (!area_open(k.records, n * k.record_bytes, 4096) ||
      !area_open(k.tags, n * k.slab_items * sizeof(uint16_t), 4096) || !area_open(k.items, n * bytes, 65536))
    return nullptr;
  auto *s = reinterpret_cast<slab *>(k.records.start + size_t{number} * k.record_bytes);
  s->base = reinterpret_cast<uint8_t *>(k.items.start + number * bytes);
  s->tags = reinterpret_cast<uint16_t *>(k.tags.start) + size_t{number} * k.slab_items;
  s->number = number;
  s->zone = uint8_t(c);
  std::atomic_ref(zones[c].items).store(n * k.slab_items, std::memory_order_release);
  return s;
}

bool layout_slab_back(unsigned c, slab &s) {
  s.base = static_cast<uint8_t *>(extent_take_slab(class_slab_bytes(c), &s));
  return s.base != nullptr;
}

bool layout_slab_purge(unsigned c, slab &s) {
  const keg &k = kegs[c];
  if (compact) {
    __builtin_memset(s.tags, 0, k.slab_items * sizeof(uint16_t));
    extent_give_slab(s.base, class_slab_bytes(c));
    s.base = nullptr;
    return true;
  }
  if (!pages_purge(reinterpret_cast<uintptr_t>(s.base), class_slab_bytes(c)))
    return false;
  tags_purge(k, s.number);
  return true;
}

item_place layout_find(const void *p) {
  auto at = reinterpret_cast<uintptr_t>(p);
  item_place place{zone_count, 0, 0, nullptr, nullptr};
  const slab *s = nullptr;
  if (compact) {
    s = extent_slab_of(at);
    if (!s)
      return place;
  } else {
    uint64_t c = (at - zones_base) >> zone_shift;
    if (c >= zone_count)
      return place;
    auto number = uint64_t((at - zones[c].base) / class_slab_bytes(unsigned(c)));
    if (number >= kegs[c].slabs) {
      place.zone = unsigned(c);
      return place;
    }
    s = keg_slab(kegs[c], uint32_t(number));
  }
  const zone &z = zones[s->zone];
  size_t offset = at - reinterpret_cast<uintptr_t>(s->base);
  auto bit = uint32_t(offset / z.size);
  place.zone = s->zone;
  place.index = (s->number << kegs[s->zone].slab_shift) + bit;
  place.inside = offset % z.size;
  place.start = s->base + size_t{bit} * z.size;
  place.tag = s->tags + bit;
  return place;
}

uint8_t *layout_item(unsigned c, uint32_t index) {
  const keg &k = kegs[c];
  return keg_slab(k, keg_slab_number(k, index))->base + size_t{index & (k.slab_items - 1)} * zones[c].size;
}

uint16_t *layout_tag(unsigned c, uint32_t index) {
  const keg &k = kegs[c];
  return keg_slab(k, keg_slab_number(k, index))->tags + (index & (k.slab_items - 1));
}

} // namespace m9
