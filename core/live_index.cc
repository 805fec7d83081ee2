// SPDX-License-Identifier: BSD-2-Clause
#include "core/live_index.h"

#include "core/extent.h"
#include "core/heap.h"
#include "core/inherited.h"
#include "core/keg.h"
#include "core/module.h"
#include "core/peak.h"
#include "core/statistics.h"
#include "shim/pages.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {

constinit bool live_on = false;

namespace {

using namespace format;

constexpr uint64_t block_bytes = uint64_t{window_count} * window_bytes; // the cells of one CPU

// The first page has all that does not grow, and a few CPUs.
constexpr section_kind kinds[] = {section_kind::strings, section_kind::modules, section_kind::types,
                                  section_kind::cells,   section_kind::cpus,    section_kind::inherited,
                                  section_kind::zones,   section_kind::notes,   section_kind::counters,
                                  section_kind::live,    section_kind::peak};
constexpr uint32_t kinds_count = sizeof kinds / sizeof *kinds, growing = 6; // of them, the first
constexpr uint32_t entry_sizes[growing] = {
    1, sizeof(module_entry), sizeof(type_entry), sizeof(cell_entry), sizeof(cpu_entry), sizeof(inherited_entry)};
struct first_page {
  header head;
  section table[kinds_count];
  live_entry live;
  peak_entry peak;
  note_entry notes[statistics_notes_count];
  zone_entry zones[zone_count + 1];
};

// A section that grows.
struct area {
  uint64_t start, room;   // bytes of the index: where it may grow (i)
  uint64_t first, opened; // where it lies now, and how much of that has pages (t)
  uint32_t kind;          // index in kinds (i)
};

constexpr uint64_t mib = 1024 * 1024;
uintptr_t base; // of the mapping; all of these (t)
area areas[growing];
area &strings = areas[0], &modules = areas[1], &types = areas[2], &cells = areas[3], &cpus = areas[4],
     &inherited = areas[5];
text reasons[2];
constexpr const char *reason_texts[2] = {"the file system is full", "it ran on more CPUs than the file has room for"};

first_page &head() { return *reinterpret_cast<first_page *>(base); }

uint64_t &count_of(const area &a) { return head().table[a.kind].count; }

void publish(const area &a, uint64_t count) {
  std::atomic_ref(count_of(a)).store(count, std::memory_order_release); // pairs with the reader's acquire
}

// Rooms in the first pages, and where each goes when its own is full.
void layout(bool small) {
  constexpr uint64_t rooms[growing] = {16 * mib, mib, 8 * mib, 4 * mib, mib / 16, 8 * mib};
  constexpr uint64_t first[growing] = {
      2944, 12 * sizeof(module_entry), 72 * sizeof(type_entry), 130 * sizeof(cell_entry), 20 * sizeof(cpu_entry), 0};
  uint64_t at = mib / 16, in_first = sizeof(first_page);
  for (uint32_t i = 0; i < growing; i++) {
    areas[i] = {at, small ? rooms[i] / 16 : rooms[i], in_first, first[i], i};
    at += areas[i].room;
    in_first += (first[i] + 7) / 8 * 8;
  }
  static_assert(sizeof(first_page) + 2944 + 12 * sizeof(module_entry) + 72 * sizeof(type_entry) +
                    130 * sizeof(cell_entry) + 20 * sizeof(cpu_entry) <=
                live_index_first);
}

// Has pages for `n` entries of an area.
bool area_open(area &a, uint64_t n) M9_REQUIRES(malloc_mtx) {
  uint64_t need = n * entry_sizes[a.kind];
  if (need <= a.opened)
    return true;
  bool moves = a.first != a.start;
  uint64_t have = moves ? 0 : a.opened, to = have ? have * 2 : 4096;
  while (to < need)
    to *= 2;
  if (to > a.room || !pages_allocate(base + a.start + have, to - have))
    return false;
  if (moves) {
    __builtin_memcpy(reinterpret_cast<void *>(base + a.start), reinterpret_cast<void *>(base + a.first), a.opened);
    a.first = a.start;
    std::atomic_ref(head().table[a.kind].offset).store(a.start, std::memory_order_release); // as publish()
  }
  a.opened = to;
  return true;
}

template <class entry> entry *entry_at(const area &a, uint64_t index) {
  return reinterpret_cast<entry *>(base + a.first) + index;
}

// An empty text where there is no room.
text text_add(const char *s) M9_REQUIRES(malloc_mtx) {
  auto n = uint32_t(text_length(s));
  n = n < 4096 ? n : 4096;
  uint64_t used = count_of(strings);
  if (!area_open(strings, used + n))
    return {0, 0};
  __builtin_memcpy(entry_at<char>(strings, used), s, n);
  publish(strings, used + n);
  return {uint32_t(used), n};
}

void store_text(text &to, text t) { // both halves at once
  uint64_t word;
  __builtin_memcpy(&word, &t, 8);
  __atomic_store_n(reinterpret_cast<uint64_t *>(&to), word, __ATOMIC_RELEASE);
}

void no_room() M9_REQUIRES(malloc_mtx) { live_incomplete(reason_texts[0]); }

void table_write(uint32_t slots, uint64_t index_bytes) {
  for (uint32_t i = 0; i < growing; i++)
    head().table[i] = {kinds[i], entry_sizes[i], 0, areas[i].first};
  if (!inherited_is_known())
    head().table[inherited.kind].kind = section_kind{0}; // there is none
  auto place = [n = growing](const void *p, size_t size, uint64_t count) mutable {
    auto at = uint64_t(static_cast<const unsigned char *>(p) - reinterpret_cast<unsigned char *>(base));
    head().table[n] = {kinds[n], uint32_t(size), count, at};
    n++;
  };
  place(head().zones, sizeof(zone_entry), zone_count + 1);
  place(head().notes, sizeof(note_entry), statistics_notes_count);
  place(reinterpret_cast<void *>(base + index_bytes), 8, slots * block_bytes / 8);
  place(&head().live, sizeof(live_entry), 1);
  place(&head().peak, sizeof(peak_entry), 1);
}

void zones_write() {
  for (unsigned c = 0; c <= zone_count; c++) {
    zone_entry &z = head().zones[c];
    z = {};
    if (c == large_zone)
      continue;
    z.size = class_size(c);
    for (unsigned n = zone_first(c); n < zone_first(c + 1); n++)
      z.limit += uint64_t{kegs[n].slabs_most} * kegs[n].slab_items;
    live_zone(c);
  }
}

} // namespace

uint64_t live_index_bytes(bool small) { return small ? 3 * mib : 38 * mib; }

void live_index_start(uintptr_t at, bool small, uint32_t slots, const live_index_about &about) {
  base = at;
  layout(small);
  uint64_t index_bytes = live_index_bytes(small);
  table_write(slots, index_bytes);
  for (unsigned i = 0; i < statistics_notes_count; i++)
    head().notes[i].name = text_add(statistics_note_name(i));
  for (unsigned i = 0; i < 2; i++)
    reasons[i] = text_add(reason_texts[i]);
  text program = text_add(about.program), reason = text_add(heap_mode_reason()), command = text_add(about.command);
  uint64_t now = clock_real_ns();
  head().live = {0, 0, {0, 0}, 0, about.parent, about.pid_namespace, now};
  uint64_t size = index_bytes + slots * block_bytes;
  head().head = {{},
                 version,
                 sizeof(header),
                 byte_order_mark,
                 page_size(),
                 size,
                 offsetof(first_page, table),
                 kinds_count,
                 sizeof(section),
                 heap_mode(),
                 0,
                 process_id(),
                 about.start_ns,
                 now,
                 program,
                 reason,
                 command};
  live_on = true; // for those below
  zones_write();
  live_on = false;
}

void live_index_publish() {
  for (uint32_t i = 0; i < modules_count(); i++)
    live_on = true, live_module_changed(i);
  live_on = true;
  uint64_t n = 0;
  for (const malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t), n++)
    live_type_changed(*t, true);
  uint64_t room = types.opened / sizeof(type_entry);
  publish(types, n < room ? n : room);
  cells_for_each([](void *, uint64_t cell, const cell_info &info) M9_UNCHECKED { live_cell_made(cell, info); },
                 nullptr);
  live_refresh();
  // Last, so that what is left of a process that was killed before is none.
  std::atomic_thread_fence(std::memory_order_release);
  __builtin_memcpy(head().head.magic, magic, sizeof magic);
}

void live_cpu_add(int cpu, uint32_t slot) {
  uint64_t n = count_of(cpus);
  if (!area_open(cpus, n + 1))
    return no_room();
  *entry_at<cpu_entry>(cpus, n) = {cpu, 0, slot * block_bytes, block_bytes};
  publish(cpus, n + 1);
}

void live_incomplete(const char *why) {
  live_entry &l = head().live;
  if (l.incomplete == 0) {
    l.since_ns = clock_real_ns();
    store_text(l.reason, reasons[text_equal(why, reason_texts[0]) ? 0 : 1]);
  }
  std::atomic_ref(l.incomplete).fetch_add(1, std::memory_order_release); // pairs with the reader's acquire
}

void live_ended() {
  if (live_on)
    std::atomic_ref(head().live.ended).store(1, std::memory_order_release);
}

void live_module_changed(uint32_t number) {
  if (!live_on)
    return;
  const module &m = *module_get(number);
  uint64_t n = count_of(modules);
  if (number < n) {
    std::atomic_ref(entry_at<module_entry>(modules, number)->flags).store(m.unloaded, std::memory_order_relaxed);
    return;
  }
  if (number > n || !area_open(modules, number + uint64_t{1}))
    return no_room();
  auto &e = *entry_at<module_entry>(modules, number);
  e = {text_add(m.facts.path), m.facts.base, m.facts.start, m.facts.end, {}, m.facts.build_id_size, m.unloaded};
  __builtin_memcpy(e.build_id, m.facts.build_id, sizeof e.build_id);
  publish(modules, n + 1);
}

void live_type_made(const malloc_type &t) {
  if (!live_on)
    return;
  live_type_changed(t, true);
  uint64_t n = count_of(types);
  if (n == t.ks_handle->number && n * sizeof(type_entry) < types.opened)
    publish(types, n + 1);
}

void live_type_changed(const malloc_type &t, bool renamed) {
  const malloc_type_internal &i = *t.ks_handle;
  if (!live_on)
    return;
  if (!area_open(types, i.number + uint64_t{1}))
    return no_room();
  auto &e = *entry_at<type_entry>(types, i.number);
  bool known = i.module < count_of(modules);
  uint64_t start = known ? module_get(i.module)->facts.base : 0;
  e.module = known ? i.module : no_module;
  e.flags = (i.declared ? type_is_declared : 0) | (i.ruled ? type_by_rule : 0);
  e.offset = i.address ? i.address - start : 0;
  e.highuse = i.highuse.load(std::memory_order_relaxed);
  if (renamed)
    store_text(e.name, text_add(t.ks_shortdesc));
}

void live_cell_made(uint64_t cell, const cell_info &info) {
  if (!live_on)
    return;
  uint64_t n = count_of(cells);
  bool children = inherited_is_known();
  if (info.type->ks_handle->number >= count_of(types) || !area_open(cells, n + 1) ||
      (children && !area_open(inherited, n + 1)))
    return no_room();
  *entry_at<cell_entry>(cells, n) = {info.type->ks_handle->number, info.zone, cell_tag(info.zone, cell),
                                     uint32_t(cell - cells_offset)};
  if (children) {
    cell_sums s = inherited_read(cell, info.zone);
    *entry_at<inherited_entry>(inherited, n) = {s.allocs, s.frees, s.bytes_alloced, s.bytes_freed};
    publish(inherited, n + 1);
  }
  publish(cells, n + 1);
}

void live_highuse(const malloc_type_internal &t, uint64_t bytes) {
  if (live_on && t.number < count_of(types))
    std::atomic_ref(entry_at<type_entry>(types, t.number)->highuse).store(bytes, std::memory_order_relaxed);
}

void live_peak(uint64_t most, uint64_t slack) {
  if (!live_on)
    return;
  std::atomic_ref(head().peak.most).store(most, std::memory_order_relaxed);
  std::atomic_ref(head().peak.slack).store(slack, std::memory_order_relaxed);
}

void live_zone(unsigned c) {
  if (!live_on)
    return;
  zone_entry &z = head().zones[c];
  uint64_t slabs = 0, fails = 0, sleeps = 0;
  for (unsigned n = zone_first(c); n < zone_first(c + 1); n++) {
    slabs += kegs[n].slabs;
    fails += kegs[n].fails;
    sleeps += kegs[n].sleeps;
  }
  std::atomic_ref(z.slabs).store(slabs, std::memory_order_relaxed);
  std::atomic_ref(z.free).store(slabs * class_slab_items(c), std::memory_order_relaxed);
  std::atomic_ref(z.fail).store(fails, std::memory_order_relaxed);
  std::atomic_ref(z.sleep).store(sleeps, std::memory_order_relaxed);
}

void live_refresh() {
  if (!live_on)
    return;
  for (unsigned c = 0; c < zone_count; c++)
    live_zone(c);
  peak_bounds peak = peak_read();
  live_peak(peak.most, peak.slack);
  uint64_t values[statistics_notes_count];
  statistics_notes(values, 0); // the reader counts what was charged to no CPU
  for (unsigned i = 0; i < statistics_notes_count; i++)
    std::atomic_ref(head().notes[i].value).store(values[i], std::memory_order_relaxed);
  std::atomic_ref(head().live.checked_ns).store(clock_real_ns(), std::memory_order_relaxed);
}

} // namespace m9
