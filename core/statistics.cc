// SPDX-License-Identifier: BSD-2-Clause
#include "core/statistics.h"

#include "core/cell.h"
#include "core/extent.h"
#include "core/format.h"
#include "core/heap.h"
#include "core/inherited.h"
#include "core/keg.h"
#include "core/module.h"
#include "core/peak.h"
#include "core/stack_node.h"
#include "shim/pages.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {
namespace {

using namespace format;

// Lays an image out: first counted with no memory, then written with the same steps.
class image_writer {
public:
  explicit image_writer(unsigned char *data) : m_data(data) {}
  // Room for n bytes, aligned to 8; nullptr while counting.
  template <class T> T *room(size_t n) {
    m_size = (m_size + 7) & ~size_t{7};
    m_last = m_size;
    m_size += n * sizeof(T);
    return m_data ? reinterpret_cast<T *>(m_data + m_last) : nullptr;
  }
  size_t last() const { return m_last; }
  size_t size() const { return m_size; }

private:
  unsigned char *m_data;
  size_t m_size = 0, m_last = 0;
};

// Texts go one after the other into the strings section.
struct string_pool {
  char *to;
  uint32_t used = 0;
  static uint32_t size_of(const char *s) {
    auto n = uint32_t(text_length(s));
    return n < 4096 ? n : 4096;
  }
  text add(const char *s) {
    uint32_t n = size_of(s);
    if (to)
      __builtin_memcpy(to + used, s, n);
    text t{used, n};
    used += n;
    return t;
  }
};

constexpr const char *note_names[] = {"foreign frees",
                                      "size mismatches",
                                      "in flight at fork",
                                      "forks whose inherited counts are not known",
                                      "sites folded",
                                      "calls charged to no CPU",
                                      "frees to a wrong type",
                                      "return addresses above which no chain goes",
                                      "calls of chains beyond the most that are kept"};
constexpr uint32_t notes = statistics_notes_count;
constexpr uint32_t sections = 11; // at most

// What is there, fixed at the start so that both passes agree; what comes later is left to the next image.
struct extent_of {
  uint32_t types, modules, cells, cpus, chains;
  uint32_t counters; // 8-byte words per CPU
  const malloc_type *newest;
};

struct cells_context {
  const extent_of *all;
  cell_entry *entries;
  inherited_entry *inherited; // nullptr: there is none
  uint32_t n, words;
  uint64_t shared; // operations counted in the shared block
};

// A type's index is its age: the newest is first on the chain.
uint32_t types_after(const malloc_type *newest) {
  uint32_t n = 0;
  for (const malloc_type *t = newest; t; t = malloc_type_next(t))
    n++;
  return n;
}

// While one image is made, under malloc_mtx, the index of a type is kept in its first probe id, which nothing else
// uses.
uint32_t &type_index(const malloc_type &t) { return t.ks_handle->mti_probes[0]; }
// In its second, where its name was put, plus 1: the types of a site's chains have its name.
uint32_t &type_name_at(const malloc_type &t) { return t.ks_handle->mti_probes[1]; }

void cell_note(void *context, uint64_t cell, const cell_info &info) {
  auto &c = *static_cast<cells_context *>(context);
  uint32_t words = cell_bytes(info.zone) / 8;
  if (c.entries)
    c.entries[c.n] = {type_index(*info.type), info.zone, cell_tag(info.zone, cell), c.words * 8};
  if (c.inherited) {
    cell_sums before = inherited_read(cell, info.zone);
    c.inherited[c.n] = {before.allocs, before.frees, before.bytes_alloced, before.bytes_freed};
  }
  c.n++;
  c.words += words;
  cell_sums s = cell_read(cell, info.zone, -1);
  c.shared += s.allocs + s.frees;
}

struct counters_context {
  uint64_t *to;
  int cpu;
  uint32_t words;
  bool allocs;
};

void counter_copy(void *context, uint64_t cell, const cell_info &info) {
  auto &c = *static_cast<counters_context *>(context);
  cell_sums s = cell_read(cell, info.zone, c.cpu);
  uint64_t *to = c.to + c.words;
  to[c.allocs ? 0 : 1] = c.allocs ? s.allocs : s.frees;
  if (info.zone == large_zone)
    to[c.allocs ? 2 : 3] = c.allocs ? s.bytes_alloced : s.bytes_freed;
  c.words += cell_bytes(info.zone) / 8;
}

extent_of image_extent(cells_context &cells) {
  extent_of all{};
  all.newest = malloc_type_next(nullptr);
  all.types = types_after(all.newest);
  uint32_t n = all.types;
  for (const malloc_type *t = all.newest; t; t = malloc_type_next(t))
    type_index(*t) = --n;
  all.modules = modules_count();
  all.chains = stack_nodes_end() - 1;
  all.cpus = 1;
  for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
    all.cpus++;
  cells.all = &all;
  cells_for_each(cell_note, &cells);
  all.cells = cells.n;
  all.counters = cells.words;
  return all;
}

void write_modules(module_entry *to, uint32_t n, string_pool &strings) {
  for (uint32_t i = 0; i < n; i++) {
    const module &m = *module_get(i);
    text path = strings.add(m.facts.path);
    if (!to)
      continue;
    to[i] = {path, m.facts.base, m.facts.start, m.facts.end, {}, m.facts.build_id_size, m.unloaded};
    __builtin_memcpy(to[i].build_id, m.facts.build_id, sizeof to[i].build_id);
  }
}

text name_of_type(const malloc_type &t, string_pool &strings) {
  const malloc_type &owner = t.ks_handle->site ? *t.ks_handle->site->type : t;
  uint32_t &at = type_name_at(owner);
  if (at != 0)
    return {at - 1, string_pool::size_of(owner.ks_shortdesc)};
  text name = strings.add(owner.ks_shortdesc);
  at = name.offset + 1;
  return name;
}

void write_types(type_entry *to, const extent_of &all, string_pool &strings) {
  for (const malloc_type *t = all.newest; t; t = malloc_type_next(t))
    type_name_at(*t) = 0;
  for (const malloc_type *t = all.newest; t; t = malloc_type_next(t)) {
    const malloc_type_internal &i = *t->ks_handle;
    text name = name_of_type(*t, strings);
    if (!to)
      continue;
    malloc_type_highuse(i.first_cell.load(std::memory_order_relaxed));
    uint64_t base = i.module == modules_none ? 0 : module_get(i.module)->facts.base;
    uint32_t flags = (i.declared ? type_is_declared : 0) | (i.ruled ? type_by_rule : 0);
    to[type_index(*t)] = {name, i.module == modules_none ? no_module : i.module, flags,
                          i.address ? i.address - base : 0, i.highuse.load(std::memory_order_relaxed)};
  }
}

void write_chains(chain_entry *to, uint32_t n) {
  for (uint32_t i = 0; to && i < n; i++) {
    const stack_node &node = stack_node_at(i + 1);
    const bool placed = node.module != stack_no_module;
    to[i] = {node.caller ? node.caller - 1 : no_chain, node.type ? type_index(*node.type) : no_chain,
             placed ? node.module : no_module, node.depth,
             placed ? node.address - module_get(node.module)->facts.base : node.address};
  }
}

void write_cpus(cpu_entry *to, uint64_t *counters, const extent_of &all) {
  uint32_t n = 0;
  for (int cpu = -1; n < all.cpus; n++) {
    to[n] = {cpu, 0, uint64_t{n} * all.counters * 8, uint64_t{all.counters} * 8};
    cpu = percpu_next_opened(cpu);
  }
  for (bool allocs : {false, true}) // the frees of all CPUs before any allocs
    for (uint32_t i = 0; i < all.cpus; i++) {
      counters_context c{counters + uint64_t{i} * all.counters, to[i].cpu, 0, allocs};
      cells_for_each(counter_copy, &c);
    }
}

void write_zones(zone_entry *to) {
  for (unsigned c = 0; c < zone_count; c++) {
    zone_entry &z = to[c];
    z = {class_size(c), 0, 0, 0, 0, 0, 0, 0};
    for (unsigned n = zone_first(c); n < zone_first(c + 1); n++) {
      const keg &k = kegs[n];
      uint64_t held = zone_cached(n);
      uint64_t used = k.items_out > held ? k.items_out - held : 0;
      z.limit += uint64_t{k.slabs_most} * k.slab_items;
      z.used += used;
      z.free += uint64_t{k.slabs} * k.slab_items - used;
      z.fail += k.fails;
      z.sleep += k.sleeps;
      z.slabs += k.slabs;
    }
  }
}

bool is_large(const cell_entry &cell) {
  return cell.zone == large_zone && !cell_find(cell_of_tag(large_zone, cell.tag))->pool;
}

uint64_t live_large(const extent_of &all, const cell_entry *cells, const cpu_entry *cpus, const uint64_t *counters) {
  uint64_t live = 0;
  for (uint32_t i = 0; i < all.cells; i++)
    for (uint32_t p = 0; is_large(cells[i]) && p < all.cpus; p++) {
      const uint64_t *c = counters + (cpus[p].offset + cells[i].offset) / 8;
      live += c[0] - c[1];
    }
  return live;
}

void write_notes(note_entry *to, string_pool &strings, uint64_t shared) {
  uint64_t values[notes];
  statistics_notes(values, shared);
  for (uint32_t i = 0; i < notes; i++) {
    text name = strings.add(note_names[i]);
    if (to)
      to[i] = {name, values[i]};
  }
}

// Both passes. `strings_size` is known in the second.
size_t image_write(unsigned char *data, const extent_of &all, const statistics_about &about, uint32_t &strings_size,
                   cells_context &cells) M9_REQUIRES(extents_lock) {
  image_writer w(data);
  auto *h = w.room<header>(1);
  auto *table = w.room<section>(sections);
  size_t table_at = w.last();
  uint32_t n = 0;
  auto place = [&](section_kind kind, uint32_t size, uint64_t count) {
    if (table)
      table[n] = {kind, size, count, w.last()};
    n++;
  };
  auto *modules = w.room<module_entry>(all.modules);
  place(section_kind::modules, sizeof(module_entry), all.modules);
  auto *types = w.room<type_entry>(all.types);
  place(section_kind::types, sizeof(type_entry), all.types);
  if (all.chains != 0) {
    write_chains(w.room<chain_entry>(all.chains), all.chains);
    place(section_kind::chains, sizeof(chain_entry), all.chains);
  }
  cells.entries = w.room<cell_entry>(all.cells);
  place(section_kind::cells, sizeof(cell_entry), all.cells);
  if (inherited_is_known()) {
    cells.inherited = w.room<inherited_entry>(all.cells);
    place(section_kind::inherited, sizeof(inherited_entry), all.cells);
  }
  auto *cpus = w.room<cpu_entry>(all.cpus);
  place(section_kind::cpus, sizeof(cpu_entry), all.cpus);
  auto *zones = w.room<zone_entry>(zone_count + 1);
  place(section_kind::zones, sizeof(zone_entry), zone_count + 1);
  auto *note_list = w.room<note_entry>(notes);
  place(section_kind::notes, sizeof(note_entry), notes);
  auto *peak = w.room<peak_entry>(1);
  place(section_kind::peak, sizeof(peak_entry), 1);
  auto *counters = w.room<uint64_t>(size_t{all.cpus} * all.counters);
  place(section_kind::counters, 8, uint64_t{all.cpus} * all.counters);
  string_pool strings{w.room<char>(strings_size)};
  place(section_kind::strings, 1, strings_size);
  write_modules(modules, all.modules, strings);
  write_types(types, all, strings);
  write_notes(note_list, strings, cells.shared - inherited_shared());
  text program = strings.add(about.program), reason = strings.add(heap_mode_reason()),
       command = strings.add(about.command);
  strings_size = strings.used;
  if (!data)
    return w.size() + strings_size;
  cells.n = cells.words = 0;
  cells_for_each(cell_note, &cells);
  write_cpus(cpus, counters, all);
  write_zones(zones);
  peak_bounds bounds = peak_read();
  *peak = {bounds.most, bounds.slack};
  zones[zone_count] = {};
  extent_totals large = extents_totals();
  zones[zone_count].used = live_large(all, cells.entries, cpus, counters);
  zones[zone_count].free = large.cached + large.dirty + large.clean;
  *h = {{},      version,         sizeof(header), byte_order_mark, page_size(),  w.size(),       table_at,
        n,       sizeof(section), heap_mode(),    about.sequence,  process_id(), about.start_ns, clock_real_ns(),
        program, reason,          command};
  __builtin_memcpy(h->magic, magic, sizeof magic);
  return w.size();
}

} // namespace

const char *statistics_note_name(unsigned i) { return note_names[i]; }

void statistics_notes(uint64_t *values, uint64_t shared) {
  const uint64_t now[notes] = {heap_note_read(heap_note::foreign_frees),
                               heap_note_read(heap_note::size_mismatches),
                               heap_note_read(heap_note::in_flight_at_fork),
                               heap_note_read(heap_note::inherited_unknown),
                               cell_sites_folded(),
                               shared,
                               heap_note_read(heap_note::wrong_types),
                               heap_note_read(heap_note::steps_unknown),
                               heap_note_read(heap_note::chains_folded)};
  __builtin_memcpy(values, now, sizeof now);
}

bool statistics_make(const statistics_about &about, statistics_image &image, size_t spare) M9_UNCHECKED {
  heap_enter();
  malloc_types_name();
  locked guard(malloc_mtx);
  locked_inside extents(extents_lock);
  cells_context cells{};
  extent_of all = image_extent(cells);
  uint32_t strings = 0;
  size_t size = image_write(nullptr, all, about, strings, cells);
  image.mapped = (size + 65535) / 65536 * 65536;
  if (uintptr_t fresh = pages_map(image.mapped)) {
    image.data = reinterpret_cast<unsigned char *>(fresh);
  } else {
    image.mapped = 0;
    if (size > spare)
      return false;
    __builtin_memset(image.data, 0, size);
  }
  image.size = image_write(image.data, all, about, strings, cells);
  return true;
}

void statistics_release(statistics_image &image) {
  if (image.mapped)
    pages_unmap(reinterpret_cast<uintptr_t>(image.data), image.mapped);
  image = {};
}

} // namespace m9
