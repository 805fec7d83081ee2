// SPDX-License-Identifier: BSD-2-Clause
#include "core/layout.h"

#include <atomic>
#include <initializer_list>

#include "core/cell.h"
#include "core/extent.h"
#include "core/meta.h"
#include "core/page_map.h"
#include "core/zone_plan.h"
#include "shim/pages.h"
#include "shim/process.h"
#include "shim/system.h"

namespace m9 {

constinit zone_table zone_list = {};

namespace {

bool compact = false; // (i)
size_t page = 4096;   // (i)

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

uintptr_t address_of(uint64_t offset) { return zone_list.base + offset; }
uintptr_t top_of(unsigned c) { return address_of(plan.of_class[c].top); }
uintptr_t group_top_of(unsigned g) { return address_of(plan.group_tops[g]); }
uintptr_t tags_of(unsigned c) { return group_top_of(group_of(c)) + page + plan.of_class[c].tags; }
zone &unit_at(uintptr_t p) { return zone_list.units[(p - zone_list.base) >> unit_shift]; }

void zone_describe(unsigned n) {
  unsigned c = zone_class(n);
  zone &z = zones[n];
  z.stride = -uint64_t{class_size(c)};
  z.reciprocal = UINT64_MAX / class_size(c) + 1;
  z.cache = caches.at[c];
  z.homeward = caches.at[c] + (1 + zone_domain(n)) * domain_bytes;
  z.cells = zone_cells_offset(c);
  z.gap = c == 0 ? 17 : uint16_t(class_size(c) - class_size(c - 1)); // 0 bytes are as good as 1
  z.self = &z;
  keg_describe(n);
}

void zone_lay_out(unsigned n) {
  unsigned c = zone_class(n);
  keg &k = kegs[n];
  zones[n].base = top_of(c) - class_size(c);
  zones[n].tags = reinterpret_cast<uint16_t *>(tags_of(c));
  uint32_t first = k.first + k.near; // beyond the nursery
  uint64_t slabs = k.slabs_most - k.near, bytes = class_slab_bytes(c), tags = stamp_bytes(k.slab_items);
  k.nursery = {top_of(c), top_of(c), 0, k.near * bytes, true, true};
  uintptr_t items = top_of(c) - first * bytes;
  k.items = {items, items, 0, slabs * bytes, true, false};
  // What lies above the first slab, in its unit, must find a tag, too: 0.
  uintptr_t own_tags = tags_of(c) + first * tags, edge = (own_tags - tags) & ~(page - 1);
  k.tags = {own_tags, edge, 0, round_up(own_tags + slabs * tags, page) - edge, false, false};
  auto units = reinterpret_cast<uintptr_t>(&unit_at(items - 1) + 1), last = round_up(units, page);
  auto lowest = reinterpret_cast<uintptr_t>(&unit_at(items - slabs * bytes)) & ~(page - 1);
  k.units = {units, last, 0, last - lowest, true, false};
}

bool reserve() {
  const size_t units_bytes = round_up((zones_bytes >> unit_shift) * sizeof(zone), page);
  const size_t bytes = units_bytes + 2 * table_bytes + zones_bytes;
  uintptr_t p = pages_reserve(bytes);
  if (!p)
    return false;
  if (!pages_open_readable(p, units_bytes)) {
    pages_drop(p, bytes);
    return false;
  }
  zone_list.units = reinterpret_cast<zone *>(p);
  zone_list.base = round_up(p + units_bytes, table_bytes) + table_bytes - table_above;
  for (unsigned n = 0; n < zones_all; n++)
    zone_lay_out(n);
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
    if (pages_open(a.down ? a.edge - to : a.edge + a.open, to - a.open, a.dumped)) {
      a.open = to;
      return true;
    }
  }
  return false;
}

// Makes a group's nursery usable, of which each class opens what it needs. Two that come at once both do so, to the
// same effect.
bool nursery_start(unsigned g) {
  static std::atomic<bool> started[groups]; // (a) relaxed
  if (started[g].load(std::memory_order_relaxed))
    return true;
  uintptr_t top = group_top_of(g), bottom = top - nursery_bytes(g);
  uintptr_t units = reinterpret_cast<uintptr_t>(&unit_at(bottom)) & ~(page - 1);
  if (!pages_open(top + page, round_up(plan.nursery_tags[g], page)) ||
      !pages_open(units, round_up(reinterpret_cast<uintptr_t>(&unit_at(top)), page) - units))
    return false;
  pages_dump(bottom, top - bottom, true);
  started[g].store(true, std::memory_order_relaxed);
  return true;
}

// Of a new slab's addresses. Whoever reads what is half written finds no items.
void units_describe(unsigned n, const slab &s, uint64_t items) {
  auto from = reinterpret_cast<uintptr_t>(s.base);
  zone *last = &unit_at(from + class_slab_bytes(zone_class(n)) - 1);
  for (zone *unit = &unit_at(from); unit <= last; unit++) {
    std::atomic_ref self(unit->self);
    if (!self.load(std::memory_order_relaxed)) {
      zone copy = zones[n]; // which has no items
      copy.self = nullptr;  // last: a child may be made of a record that is half written
      *unit = copy;
      self.store(&zones[n], std::memory_order_release);
    }
    std::atomic_ref(unit->items).store(items, std::memory_order_release);
  }
}

// The pages of an idle slab's tags go too, where all slabs whose tags lie in a page are idle. Zones of large items have
// so few tags that it is not worth the search.
void tags_purge(const keg &k, uint32_t number) {
  size_t bytes = stamp_bytes(k.slab_items);
  if (bytes < page / 16 || number < k.near) // others' are there, too
    return;
  number -= k.near;
  uintptr_t start = k.tags.start + number * bytes;
  for (uintptr_t at = start & ~(page - 1); at < start + bytes; at += page) {
    uint64_t first = (at - k.tags.start) / bytes;
    uint64_t last = (at + page - 1 - k.tags.start) / bytes;
    bool idle = at >= k.tags.start && last + k.near < k.slabs_most; // else another zone's may be there
    for (uint64_t i = first; i <= last && i + k.near < k.slabs; i++)
      idle = idle && keg_slab(k, uint32_t(i) + k.near)->out == 0;
    if (idle)
      pages_purge(at, page);
  }
}

// The zone that an address is meant for where no slab is yet; zones_all: none.
unsigned zone_planned(uintptr_t at) {
  for (unsigned n = 0; n < zones_all; n++) {
    uintptr_t top = top_of(zone_class(n));
    if (kegs[n].items.edge - at - 1 < kegs[n].items.most || (kegs[n].near > 0 && top - at - 1 < unit_bytes))
      return n;
  }
  return zones_all;
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
  unsigned c = zone_class(n);
  uint64_t place = keg_slab_place(k, number), bytes = class_slab_bytes(c), tags = stamp_bytes(k.slab_items);
  s.base = reinterpret_cast<uint8_t *>(top_of(c) - (place + 1) * bytes);
  s.tags = zones[n].tags + place * k.slab_items;
  if (number < k.near) {
    if (!nursery_start(group_of(c)) || !area_open(k.nursery, (number + 1) * bytes, 65536))
      return false;
  } else {
    uint64_t slabs = number - k.near + 1;
    auto unit = reinterpret_cast<uintptr_t>(&unit_at(reinterpret_cast<uintptr_t>(s.base)));
    if (!area_open(k.units, k.units.edge - unit, 4096) ||
        !area_open(k.tags, k.tags.start - k.tags.edge + slabs * tags, 4096) ||
        !area_open(k.items, slabs * bytes, 65536))
      return false;
    if (number >= k.near + 4) { // the zone grows: its tags are used soon
      auto own = reinterpret_cast<uintptr_t>(s.tags), from = round_up(own, page), to = round_up(own + tags, page);
      if (from < to)
        pages_populate(from, to - from, true);
    }
  }
  units_describe(n, s, (place + 1) * k.slab_items);
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
    if (at - zone_list.base >= zones_bytes)
      return place;
    const zone &z = zone_of_offset(at - zone_list.base);
    unsigned n = z.self ? zone_number(z) : zone_planned(at);
    if (n == zones_all)
      return place;
    uint64_t top = top_of(zone_class(n));
    uint32_t number = keg_slab_at(kegs[n], uint32_t((top - 1 - at) / class_slab_bytes(zone_class(n))));
    if (number >= kegs[n].slabs) {
      place.zone = n;
      return place;
    }
    s = keg_slab(kegs[n], number);
  }
  const keg &k = kegs[s->zone];
  size_t size = zone_size(zones[s->zone]), offset = at - reinterpret_cast<uintptr_t>(s->base);
  auto bit = uint32_t(k.slab_items - 1 - offset / size);
  place.zone = s->zone;
  place.index = (keg_slab_place(k, s->number) << k.slab_shift) + bit;
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
