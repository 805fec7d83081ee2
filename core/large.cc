// SPDX-License-Identifier: BSD-2-Clause
#include "core/large.h"

#include "core/cell.h"
#include "core/decay.h"
#include "core/extent.h"
#include "core/heap.h"
#include "core/large_cache.h"
#include "core/page_map.h"
#include "core/site.h"
#include "shim/pages.h"

namespace m9 {
namespace {

// From here on moving page tables costs less than copying bytes.
constexpr size_t move_least = 1024 * 1024;

struct block {
  void *address;
  size_t bytes;
  bool zeroed;
};

block block_take(size_t bytes, size_t alignment, uint16_t tag) {
  locked guard(extents_lock);
  bool zeroed = false;
  extent *e = extent_take(bytes, alignment, zeroed);
  if (!e)
    return {};
  e->tag = tag;
  return {extent_address(*e), extent_counted(*e), zeroed};
}

// One that this CPU kept.
block block_take_kept(verbs v, size_t bytes, size_t alignment, uint16_t tag) {
  extent *e = alignment <= (size_t{1} << page_map_page_shift()) ? large_cache_take(v, bytes) : nullptr;
  if (!e)
    return {};
  extent_hand_out(*e, bytes, tag);
  return {extent_address(*e), bytes, false};
}

void count_alloc(verbs v, uint64_t cell, size_t bytes) {
  percpu_add(v, cell + 16, bytes);
  percpu_add(v, cell, 1);
}

void count_free(verbs v, uint64_t cell, size_t bytes) {
  percpu_add(v, cell + 24, bytes);
  percpu_add(v, cell + 8, 1);
}

bool is_hidden(const void *p) {
  locked guard(extents_lock);
  const extent *e = extent_at(reinterpret_cast<uintptr_t>(p));
  return e && e->hidden;
}

} // namespace

void *large_alloc(size_t size, size_t alignment, bool zero, call_frame f) {
  uint64_t place = site_find(f, large_zone);
  if (!place)
    return nullptr;
  uint64_t cell = place_cell(place);
  uint16_t tag = stamp_tag(place_stamp(place));
  verbs v = heap_verbs();
  size_t bytes = large_bytes(size);
  block b = block_take_kept(v, bytes, alignment, tag);
  bool kept = b.address;
  if (!kept)
    b = block_take(bytes, alignment, tag);
  if (!b.address && decay_everything())
    b = block_take(bytes, alignment, tag);
  if (!b.address)
    return nullptr;
  count_alloc(v, cell, b.bytes);
  if (zero && !b.zeroed)
    __builtin_memset(b.address, 0, size);
  if (!kept) {
    malloc_type_highuse(cell);
    decay_tick();
  }
  return b.address;
}

bool large_hide(void *p) {
  locked guard(extents_lock);
  extent *e = extent_at(reinterpret_cast<uintptr_t>(p));
  e->hidden = pages_dump(e->address, extent_bytes(*e), false);
  return e->hidden;
}

bool large_free(void *p) {
  size_t bytes = 0;
  extent *e = extent_claim(reinterpret_cast<uintptr_t>(p), bytes);
  if (!e)
    return false;
  verbs v = heap_verbs();
  uint16_t tag = e->tag;
  if (e->hidden) { // ours alone until it is put back
    pages_dump(e->address, extent_bytes(*e), true);
    e->hidden = false;
  }
  if (!large_cache_put(v, e)) {
    locked guard(extents_lock);
    extent_give(e);
    if (decay_idle_extents() > extents_idle_limit())
      extents_purge_to(extents_idle_limit() / 2);
  }
  count_free(v, cell_of_tag(large_zone, tag), bytes);
  decay_tick();
  return true;
}

size_t large_size(const void *p) {
  locked guard(extents_lock);
  const extent *e = extent_at(reinterpret_cast<uintptr_t>(p));
  return e ? extent_counted(*e) : 0;
}

void *large_resize(void *p, size_t size) {
  size_t before = 0, after = 0;
  uint16_t tag = 0;
  {
    locked guard(extents_lock);
    extent *e = extent_at(reinterpret_cast<uintptr_t>(p));
    if (!e)
      return nullptr;
    before = extent_counted(*e);
    tag = e->tag;
    size = large_bytes(size);
    if (size != before && (e->hidden || !extent_resize(e, size)))
      return nullptr;
    after = extent_counted(*e);
  }
  verbs v = heap_verbs();
  uint64_t cell = cell_of_tag(large_zone, tag);
  if (after > before)
    percpu_add(v, cell + 16, after - before);
  if (after < before)
    percpu_add(v, cell + 24, before - after);
  return p;
}

void *large_move(void *p, size_t size, call_frame f) {
  size_t bytes = large_size(p);
  if (bytes < move_least || size < bytes || is_hidden(p)) // what hides pages would move with them
    return nullptr;
  void *to = large_alloc(size, 1, false, f);
  if (!to)
    return nullptr;
  if (pages_move(reinterpret_cast<uintptr_t>(p), bytes, reinterpret_cast<uintptr_t>(to))) {
    locked guard(extents_lock);
    extent_at(reinterpret_cast<uintptr_t>(to))->moved = true;
  } else {
    __builtin_memcpy(to, p, bytes);
  }
  large_free(p);
  return to;
}

} // namespace m9
