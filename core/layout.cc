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

constexpr size_t zones_bytes = size_t{zones_all} << zone_shift;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// A page of page tables covers so much. Where a class begins, what its first slab has and that slab's tags lie in one.
constexpr size_t table_bytes = 2 * 1024 * 1024;

// The tags that are used first, the last ones of the first slab, lie at different cache sets, which are chosen by the
// low address bits.
size_t stagger(unsigned c) {
  size_t tags = class_slab_items(c) * sizeof(uint16_t) & ~size_t{63};
  return ((c * 5 + 32) * 64 - (tags > 64 ? tags - 64 : 0)) % 4096;
}
// So do the items used first; as these keep their pages and their alignment, they can differ in the bits above these
// only. That is worth it too: caches that predict the way by a hash of the linear address (AMD's since Bulldozer) hold
// just one of two lines whose bits 6 to 27 agree.
constexpr size_t stagger_items(unsigned c) {
  size_t alignment = class_size(c) & -class_size(c), pages = 4 + c * 37 % 384;
  return (pages * 4096 + alignment - 1) / alignment * alignment;
}
constexpr bool staggers_fit() {
  for (unsigned c = 0; c < zone_count; c++)
    if (stagger_items(c) < 4 * 4096 || stagger_items(c) + class_slab_bytes(c) > table_bytes ||
        stagger_items(c) > zone_stagger_most)
      return false;
  return true;
}
static_assert(staggers_fit());

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
  z.stride = -uint64_t{class_size(c)};
  z.reciprocal = UINT64_MAX / class_size(c) + 1;
  z.cache = caches.at[c];
  z.homeward = caches.at[c] + (1 + zone_domain(n)) * domain_bytes;
  z.cells = zone_cells_offset(c);
  z.cache_most = uint16_t(cache_most(c));
  z.gap = c == 0 ? 17 : uint16_t(class_size(c) - class_size(c - 1)); // 0 bytes are as good as 1
  keg_describe(n);
  kegs[n].first = first_slab(n);
}

// Sets out a class's zones below p: items downwards from one address, and their tags upwards, so that the first of both
// share the page tables. A page between them is never opened, as one item too long must not be a tag.
void class_lay_out(unsigned c, uintptr_t p) {
  uintptr_t upper = p - stagger_items(c), tags = upper + page + stagger(c);
  for (unsigned n = zone_first(c); n < zone_first(c + 1); n++) {
    keg &k = kegs[n];
    uintptr_t items = upper - k.first * class_slab_bytes(c);
    k.items = {items, items, 0, k.slabs_most * class_slab_bytes(c), true};
    uintptr_t own_tags = tags + size_t{k.first} * k.slab_items * sizeof(uint16_t);
    // What lies between the border and the first slab must find a tag, too: 0.
    uintptr_t edge = (k.first == 0 ? own_tags : own_tags - k.slab_items * sizeof(uint16_t)) & ~(page - 1);
    uintptr_t end = round_up(own_tags + size_t{k.slabs_most} * k.slab_items * sizeof(uint16_t), page);
    k.tags = {own_tags, edge, 0, end - edge, false};
    zones[n].base = upper - class_size(c);
    zones[n].tags = reinterpret_cast<uint16_t *>(tags);
    zones[n].items = 0;
  }
}

bool reserve() {
  uintptr_t p = pages_reserve(zones_bytes + zone_tags_most + table_bytes);
  if (!p)
    return false;
  zone_list.base = round_up(p, table_bytes);
  for (unsigned c = 0; c < zone_count; c++)
    class_lay_out(c, zone_list.base + (size_t{zone_first(c + 1)} << zone_shift));
  return true;
}

// Opens an area up to `need` bytes from its edge, and a little more each time it grows.
bool area_open(area &a, size_t need, size_t step) {
  if (need <= a.open)
    return true;
  step = step > page ? step : page;
  // Near a limit (RLIMIT_DATA, overcommit) what is needed may fit where more does not.
  for (size_t beyond : {a.open > 1024 * 1024 ? 1024 * 1024 : a.open, size_t{0}}) {
    size_t to = round_up(need + beyond, step);
    if (to > a.most)
      to = a.most;
    if (pages_open(a.down ? a.edge - to : a.edge + a.open, to - a.open)) {
      a.open = to;
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
  size_t tags_end = k.tags.start - k.tags.edge + slabs * k.slab_items * sizeof(uint16_t);
  if (!area_open(k.tags, tags_end, 4096) || !area_open(k.items, slabs * bytes, 65536))
    return false;
  if (number >= 4) { // the zone grows: its tags are used soon
    uintptr_t tags = k.tags.start + number * k.slab_items * sizeof(uint16_t);
    uintptr_t from = round_up(tags, page), to = round_up(tags + k.slab_items * sizeof(uint16_t), page);
    if (from < to)
      pages_populate(from, to - from, true);
  }
  s.base = reinterpret_cast<uint8_t *>(k.items.start - slabs * bytes);
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
    if (at - zone_list.base >= zones_bytes + zone_tags_most)
      return place;
    n = n < zones_all ? n : zones_all - 1; // above it are its class's tags
    // Above the first slab of the zone this wraps around, to more than there can be.
    uint64_t above = zones[n].base + zone_size(zones[n]) - 1; // the class's last byte
    uint64_t number = (above - at) / class_slab_bytes(zone_class(unsigned(n))) - kegs[n].first;
    if (at > above || number >= kegs[n].slabs) {
      place.zone = unsigned(n);
      return place;
    }
    s = keg_slab(kegs[n], uint32_t(number));
  }
  const keg &k = kegs[s->zone];
  size_t size = zone_size(zones[s->zone]), offset = at - reinterpret_cast<uintptr_t>(s->base);
  auto bit = uint32_t(k.slab_items - 1 - offset / size);
  place.zone = s->zone;
  place.index = ((k.first + s->number) << k.slab_shift) + bit;
  place.inside = offset % size;
  place.start = s->base + (offset - place.inside);
  place.tag = s->tags + bit;
  return place;
}

uint8_t *layout_item(unsigned n, uint32_t index) {
  const keg &k = kegs[n];
  return keg_slab(k, keg_slab_number(k, index))->base + size_t{~index & (k.slab_items - 1)} * zone_size(zones[n]);
}

uint16_t *layout_tag(unsigned n, uint32_t index) {
  const keg &k = kegs[n];
  return keg_slab(k, keg_slab_number(k, index))->tags + (index & (k.slab_items - 1));
}

} // namespace m9
