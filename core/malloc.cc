// SPDX-License-Identifier: BSD-2-Clause
#include "core/malloc.h"

#include <atomic>

#include "core/heap.h"
#include "core/keg.h"
#include "core/large.h"
#include "core/large_cache.h"
#include "core/layout.h"
#include "core/misuse.h"
#include "shim/modules.h"
#include "shim/process.h"

namespace m9 {
namespace {

constexpr size_t request_most = PTRDIFF_MAX;

// The tag of an item that a program holds, 0 for any other place in a zone. A build that does not count has no tags.
uint16_t live_tag(const item_place &at) {
#if M9_COUNTING
  uint16_t stamp = at.tag ? *at.tag : 0;
  return at.inside || !(stamp & stamp_held) ? 0 : stamp_tag(stamp);
#else
  return at.inside ? 0 : tag_other;
#endif
}

// False: it was. Of two threads that come here at once, one sees the other's mark.
bool tag_mark_freed([[maybe_unused]] const item_place &at) {
#if M9_COUNTING
  return std::atomic_ref(*at.tag).fetch_and(uint16_t(~stamp_held), std::memory_order_relaxed) & stamp_held;
#else
  return true;
#endif
}

void *zone_alloc(unsigned c, call_frame f) {
  for (; c < zone_count; c++) {
    uint64_t place = site_find(f, c);
    if (!place)
      return nullptr;
    if (void *p = malloc_refill(c, place_cell(place)))
      return p;
    bool full = false;
    for (unsigned domain = 0; domain < domain_count; domain++)
      full = full || kegs[zone_of(c, domain)].slabs == kegs[zone_of(c, domain)].slabs_most;
    if (!full)
      break; // refused by the kernel, not by the end of the zone's addresses
  }
  return nullptr;
}

} // namespace

void *malloc_slow(size_t size, call_frame f) {
  if (size > request_most)
    return nullptr;
  heap_enter();
  process_divert_call();
  return size > zone_size_max ? large_alloc(size, 1, false, f) : zone_alloc(class_of(size), f);
}

void *calloc_slow(size_t size, call_frame f) {
  if (size > request_most)
    return nullptr;
  heap_enter();
  process_divert_call();
  if (size > zone_size_max)
    return large_alloc(size, 1, true, f);
  void *p = zone_alloc(class_of(size), f);
  return p ? __builtin_memset(p, 0, size) : nullptr;
}

void *aligned_slow(size_t alignment, size_t size, call_frame f) {
  if (size > request_most || alignment > request_most)
    return nullptr;
  heap_enter();
  unsigned c = class_of_aligned(size, alignment);
  return c < zone_count ? zone_alloc(c, f) : large_alloc(size ? size : 1, alignment, false, f);
}

void free_slow(void *p) {
  if (!p)
    return;
  heap_enter();
  item_place at = layout_find(p);
  if (at.zone == zones_all) {
    if (large_free(p))
      return;
    if (!foreign_chunk(p))
      misuse(p, "free");
    heap_note_add(heap_note::foreign_frees);
    libc_call<void(void *)>("free")(p);
    return;
  }
  uint16_t tag = live_tag(at);
  if (tag == 0 || !tag_mark_freed(at))
    misuse(p, "free");
  free_full(zones[at.zone], at.index, zone_cell(zones[at.zone], tag));
}

// Size of the block that starts at p; 0: foreign. Stops the program on anything else.
size_t checked_size(const void *p, const char *call) {
  item_place at = layout_find(p);
  if (at.zone < zones_all) {
    if (live_tag(at) == 0)
      misuse(p, call);
    return class_size(zone_class(at.zone));
  }
  if (size_t bytes = large_size(p))
    return bytes;
  if (!foreign_chunk(p))
    misuse(p, call);
  return 0;
}

size_t usable_size(const void *p, const char *call) {
  if (!p)
    return 0;
  heap_enter();
  size_t size = checked_size(p, call);
  return size ? size : libc_call<size_t(void *)>("malloc_usable_size")(const_cast<void *>(p));
}

size_t size_served(size_t size, size_t alignment) {
  unsigned c = alignment > 16 ? class_of_aligned(size, alignment) : size > zone_size_max ? zone_count : class_of(size);
  return c < zone_count ? class_size(c) : large_bytes(size);
}

bool size_mismatch(const void *p, size_t size, size_t alignment) {
  heap_enter();
  item_place at = layout_find(p);
  size_t has = at.zone < zones_all ? class_size(zone_class(at.zone)) : large_size(p);
  return has != 0 && has != size_served(size, alignment);
}

void *realloc_in_place(void *p, size_t size) {
  if (size > request_most)
    return nullptr;
  item_place at = layout_find(p);
  if (at.zone < zones_all)
    return size <= zone_size_max && class_of(size) == zone_class(at.zone) ? p : nullptr;
  return size > zone_size_max ? large_resize(p, size) : nullptr;
}

} // namespace m9
