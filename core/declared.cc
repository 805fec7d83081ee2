// SPDX-License-Identifier: BSD-2-Clause
#include "core/declared.h"

#include "core/cell.h"
#include "core/extent.h"
#include "core/heap.h"
#include "core/layout.h"
#include "core/misuse.h"
#include "core/zone.h"
#include "shim/panic.h"
#include "shim/process.h"

namespace m9 {

constinit thread_local malloc_type_internal *scope_now = nullptr;

namespace {

// Two types of which a free mistook one for the other, and that was said.
struct mistake {
  const malloc_type_internal *is, *freed_as;
};
constexpr uint32_t mistakes_most = 256;
mistake mistakes[mistakes_most]; // (t)
uint32_t mistakes_count;         // (t)

// False: it was said before, or there is no room to remember it.
bool mistake_is_new(const mistake &m) {
  locked guard(malloc_mtx);
  for (uint32_t i = 0; i < mistakes_count; i++)
    if (mistakes[i].is == m.is && mistakes[i].freed_as == m.freed_as)
      return false;
  if (mistakes_count == mistakes_most)
    return false;
  mistakes[mistakes_count++] = m;
  return true;
}

// Class, tag and bytes of what a program holds at p; tag 0: nothing of ours begins there.
struct held {
  unsigned zone;
  uint16_t tag;
  size_t bytes;
};
held held_find(const void *p) {
  item_place at = layout_find(p);
  if (at.zone < zones_all) {
    uint16_t stamp = at.tag && !at.inside ? *at.tag : 0;
    unsigned c = zone_class(at.zone);
    return {c, stamp & stamp_held ? stamp_tag(stamp) : uint16_t{0}, class_size(c)};
  }
  locked guard(extents_lock);
  const extent *e = extent_at(reinterpret_cast<uintptr_t>(p));
  return {large_zone, e ? e->tag : uint16_t{0}, e ? extent_counted(*e) : 0};
}

} // namespace

malloc_type_internal *declared_register(malloc_type &record) {
  if (record.ks_magic != M_MAGIC) {
    text_buffer<200> text;
    panic(text.add("bad ks_magic of the malloc_type at ").hex(reinterpret_cast<uintptr_t>(&record)).c_str());
  }
  heap_enter();
  locked guard(malloc_mtx);
  return malloc_type_declare(record);
}

void declared_check_free(const void *p, const malloc_type_internal &t, const char *call) {
  heap_enter();
  held h = held_find(p);
  const cell_info *info = h.tag ? cell_find(cell_of_tag(h.zone, h.tag)) : nullptr;
  if (!info || info->type->ks_handle == &t || h.tag == tag_other) // whose "(other)" is, nobody knows
    return;
  heap_note_add(heap_note::wrong_types);
  if (!mistake_is_new({info->type->ks_handle, &t}))
    return;
  misuse_line text;
  text.add(call).add(" of ").hex(reinterpret_cast<uintptr_t>(p)).add(" as type ").add(t.type->ks_shortdesc);
  text.add(": an item of ").number(h.bytes).add(" bytes of type ");
  misuse_add_type(text, h.zone, h.tag);
  complain(text.add("; the next ones are only counted").c_str());
}

void declared_pool_count(malloc_type_internal &t, size_t size, bool allocated) {
  heap_enter();
  uint64_t cell = t.pool_cell.load(std::memory_order_acquire);
  if (!cell) {
    locked guard(malloc_mtx);
    cell = t.pool_cell.load(std::memory_order_relaxed);
    if (!cell && !(cell = cell_for_pool(*t.type)))
      return;
    t.pool_cell.store(uint32_t(cell), std::memory_order_release); // pairs with the acquire above
  }
  verbs v = heap_verbs();
  percpu_add(v, cell + (allocated ? 16 : 24), size);
  percpu_add(v, cell + (allocated ? 0 : 8), 1);
}

malloc_type_internal *scope_set(malloc_type_internal *t) {
  malloc_type_internal *before = scope_now;
  if (t && !before) {
    heap_enter();
    process_divert_begin();
  }
  scope_now = t;
  if (before && !t)
    process_divert_end();
  return before;
}

} // namespace m9
