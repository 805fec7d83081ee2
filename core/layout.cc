// SPDX-License-Identifier: BSD-2-Clause
#include "core/layout.h"

#include <atomic>
#include <initializer_list>

#include "core/cell.h"
#include "core/extent.h"
#include "core/meta.h"
#include "core/page_map.h"
#include "shim/pages.h"
#include "shim/process.h"
#include "shim/system.h"

namespace m9 {

constinit zone_table zone_list = {};

namespace {

bool compact = false; // (i)
size_t page = 4096;   // (i)

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// All tables begin at different cache sets: the zones' first items and tags are the hot ones, and sets are chosen by
// the low address bits.
size_t stagger(unsigned c) { return ((c * 5 + 32) % 64) * 64; }
// The items themselves keep their pages and their alignment, so they can differ in the bits above these only. That is
// worth it too: caches that predict the way by a hash of the linear address (AMD's since Bulldozer) hold just one of
// two lines whose bits 6 to 27 agree.
size_t stagger_items(unsigned c) {
  size_t alignment = class_size(c) & -class_size(c);
  return round_up(size_t{c} * 37 * 4096, alignment);
}
static_assert(zone_count * 37 * 4096 + 65536 <= zone_stagger_most);

// The zones of a class have one base, one table of tags and disjoint indices: those of the next begin with the first
// slab beyond its border.
uint32_t first_slab(unsigned n) {
  uint64_t border = uint64_t{zone_domain(n)} << zone_shift;
  uint64_t bytes = class_slab_bytes(zone_class(n)), stagger = stagger_items(zone_class(n));
  return border == 0 ? 0 : uint32_t((border - stagger + bytes - 1) / bytes);
}

void zone_describe(unsigned n) {
  unsigned c = zone_class(n);
  zone &z = zones[n];
  z.size = class_size(c);
  z.reciprocal = UINT64_MAX / z.size + 1;
  z.cache = caches.at[c];
  z.homeward = caches.at[c] + (1 + zone_domain(n)) * domain_bytes;
  z.cells = zone_cells_offset(c);
  z.cache_most = uint16_t(cache_most(c));
  z.gap = c == 0 ? 17 : uint16_t(class_size(c) - class_size(c - 1)); // 0 bytes are as good as 1
  keg_describe(n);
  kegs[n].first = first_slab(n);
}

size_t class_tags_bytes(unsigned c) {
  const keg &last = kegs[zone_of(c, domain_count - 1)];
  return round_up((size_t{last.first} + last.slabs_most) * last.slab_items * sizeof(uint16_t), 65536) + 65536;
}

// Sets out a class's zones: items at p, tags at `table`.
void class_lay_out(unsigned c, uintptr_t p, uintptr_t table) {
  uintptr_t base = p + stagger_items(c), tags = table + stagger(c);
  for (unsigned n = zone_of(c, 0); zone_class(n) == c; n++) {
    keg &k = kegs[n];
    uintptr_t items = base + k.first * class_slab_bytes(c);
    k.items = {items, items, items + k.slabs_most * class_slab_bytes(c)};
    uintptr_t own_tags = tags + size_t{k.first} * k.slab_items * sizeof(uint16_t);
    // What lies between the border and the first slab must find a tag, too: 0.
    uintptr_t open = k.first == 0 ? own_tags : own_tags - k.slab_items * sizeof(uint16_t);
    k.tags = {own_tags, open & ~(page - 1),
              round_up(own_tags + size_t{k.slabs_most} * k.slab_items * sizeof(uint16_t), page)};
    zones[n].base = base;
    zones[n].tags = reinterpret_cast<uint16_t *>(tags);
    zones[n].items = 0;
  }
}

bool reserve() {
  size_t size = size_t{zones_all} << zone_shift;
  for (unsigned c = 0; c < zone_count; c++)
    size += class_tags_bytes(c);
  uintptr_t p = pages_reserve(size + 65536);
  if (!p)
    return false;
  p = round_up(p, 65536);
  zone_list.base = p;
  uintptr_t table = p + (size_t{zones_all} << zone_shift);
  for (unsigned c = 0; c < zone_count; table += class_tags_bytes(c++))
    class_lay_out(c, p + (size_t{zone_of(c, 0)} << zone_shift), table);
  return true;
}

// Opens an area up to `need` bytes from its start, and a little more each time it grows.
bool area_open(area &a, size_t need, size_t step) {
  uintptr_t to = a.start + need;
  if (to <= a.open)
    return true;
  size_t more = a.open > a.start ? a.open - (a.start & ~(page - 1)) : 0;
  step = step > page ? step : page;
  // Near a limit (RLIMIT_DATA, overcommit) what is needed may fit where more does not.
  for (size_t beyond : {more > 1024 * 1024 ? 1024 * 1024 : more, size_t{0}}) {
    uintptr_t end = round_up(to + beyond, step);
    if (end > a.end)
      end = a.end;
    if (pages_open(a.open, end - a.open)) {
      a.open = end;
      return true;
    }
  }
  return false;
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
  for (unsigned n = 0; n < zones_all; n++)
    zone_describe(n);
  page_map_start(page);
  compact = !reserve() || !percpu_reserve();
  if (compact)
    percpu_reserve_shared();
}

bool layout_slab(unsigned n, uint32_t number, slab &s) {
  keg &k = kegs[n];
  s.number = number;
  s.zone = uint8_t(n);
  if (compact) {
    if (!s.tags)
      s.tags = static_cast<uint16_t *>(meta_alloc(k.slab_items * sizeof(uint16_t)));
    return s.tags && layout_slab_back(n, s);
  }
  size_t bytes = class_slab_bytes(zone_class(n)), slabs = size_t{number} + 1;
  if (!area_open(k.tags, slabs * k.slab_items * sizeof(uint16_t), 4096) || !area_open(k.items, slabs * bytes, 65536))
    return false;
  if (number >= 4) { // the zone grows: its tags are used soon
    uintptr_t tags = k.tags.start + number * k.slab_items * sizeof(uint16_t);
    uintptr_t from = round_up(tags, page), to = round_up(tags + k.slab_items * sizeof(uint16_t), page);
    if (from < to)
      pages_populate(from, to - from, true);
  }
  s.base = reinterpret_cast<uint8_t *>(k.items.start + number * bytes);
  s.tags = reinterpret_cast<uint16_t *>(k.tags.start) + size_t{number} * k.slab_items;
  std::atomic_ref(zones[n].items).store((k.first + slabs) * k.slab_items, std::memory_order_release);
  return true;
}

bool layout_slab_back(unsigned n, slab &s) {
  s.base = static_cast<uint8_t *>(extent_take_slab(class_slab_bytes(zone_class(n)), &s));
  return s.base != nullptr;
}

void layout_slab_forget(unsigned n, slab &s) {
  if (s.tags)
    __builtin_memset(s.tags, 0, kegs[n].slab_items * sizeof(uint16_t));
  s.base = nullptr;
  s.used = false;
}

bool layout_slab_purge(unsigned n, slab &s) {
  const keg &k = kegs[n];
  if (compact) {
    void *base = s.base;
    layout_slab_forget(n, s);
    extent_give_slab(base, class_slab_bytes(zone_class(n)));
    return true;
  }
  if (!pages_purge(reinterpret_cast<uintptr_t>(s.base), class_slab_bytes(zone_class(n))))
    return false;
  tags_purge(k, s.number);
  return true;
}

item_place layout_find(const void *p) {
  auto at = reinterpret_cast<uintptr_t>(p);
  item_place place{zones_all, 0, 0, nullptr, nullptr};
  const slab *s = nullptr;
  if (compact) {
    s = extent_slab_of(at);
    if (!s)
      return place;
  } else {
    uint64_t n = (at - zone_list.base) >> zone_shift;
    if (n >= zones_all)
      return place;
    // Before the first slab of the zone this wraps around, to more than there can be.
    uint64_t number = (at - zones[n].base) / class_slab_bytes(zone_class(unsigned(n))) - kegs[n].first;
    if (at < zones[n].base || number >= kegs[n].slabs) {
      place.zone = unsigned(n);
      return place;
    }
    s = keg_slab(kegs[n], uint32_t(number));
  }
  const zone &z = zones[s->zone];
  size_t offset = at - reinterpret_cast<uintptr_t>(s->base);
  auto bit = uint32_t(offset / z.size);
  place.zone = s->zone;
  place.index = ((kegs[s->zone].first + s->number) << kegs[s->zone].slab_shift) + bit;
  place.inside = offset % z.size;
  place.start = s->base + size_t{bit} * z.size;
  place.tag = s->tags + bit;
  return place;
}

uint8_t *layout_item(unsigned n, uint32_t index) {
  const keg &k = kegs[n];
  return keg_slab(k, keg_slab_number(k, index))->base + size_t{index & (k.slab_items - 1)} * zones[n].size;
}

uint16_t *layout_tag(unsigned n, uint32_t index) {
  const keg &k = kegs[n];
  return keg_slab(k, keg_slab_number(k, index))->tags + (index & (k.slab_items - 1));
}

} // namespace m9
