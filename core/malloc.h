// SPDX-License-Identifier: BSD-2-Clause
//
// malloc and free, top to bottom.
//
//   malloc         small sizes: class by table; else on to
//   malloc_medium  class by logarithm; else on to slow (cold)
//   malloc_from    call site -> cell and tag; pop_and_count; stamp the tag; address = base + index * size
//                    first sight of a site: slow (cold);  empty cache: refill (cold)
//   free           zone by address -> index -> tag -> push_and_count
//                    full cache: free_full (cold);  anything odd, and all else: free_slow (cold)
//
// The fast paths call nothing but inline verbs, and leave by tail calls. A `Kind` says how a caller fails:
//   Kind::slow(size, caller), Kind::refill(zone, cell, popped).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/site.h"
#include "core/zone.h"
#include "shim/process.h"

namespace m9 {

// The cold parts. They return nullptr when memory is refused and leave errno alone.
void *malloc_slow(size_t size, uintptr_t caller);
void *malloc_refill(const zone &z, uint64_t cell, int64_t popped);
void *calloc_slow(size_t size, uintptr_t caller);
void free_slow(void *p);
void free_full(const zone &z, uint64_t index, uint64_t cell, uint64_t pushed);

template <class Kind> [[gnu::always_inline]] inline void *malloc_from(uint64_t c, size_t size, uintptr_t caller) {
  uint64_t key = site_key(caller, c);
  const site &s = site_first(key);
  if (s.key != key) [[unlikely]]
    return Kind::slow(size, caller);
  const zone &z = zones[c];
  uint64_t cell = s.cell;
  uint16_t tag = s.tag;
  int64_t index = rseq::pop_and_count(z.cache, cell);
  if (index < 0) [[unlikely]]
    return Kind::refill(z, cell, index);
  return zone_hand_out(z, uint64_t(index), tag);
}

// Static: a section that the linker may discard must not hold rseq sections.
template <class Kind> [[gnu::noinline]] static void *malloc_medium(size_t size, uintptr_t caller) {
  if (size >= fast.medium_limit) [[unlikely]]
    return Kind::slow(size, caller);
  return malloc_from<Kind>(class_of_medium(size), size, caller);
}

template <class Kind> [[gnu::always_inline]] inline void *malloc_fast(size_t size, uintptr_t caller) {
  if (size >= fast.small_limit) [[unlikely]]
    return malloc_medium<Kind>(size, caller);
  return malloc_from<Kind>(small_classes.of_16[(size + 15) / 16], size, caller);
}

[[gnu::always_inline]] inline void free_fast(void *p) {
  uint64_t c = (reinterpret_cast<uint64_t>(p) - zones_base) >> zone_shift;
  if (c >= fast.zones_limit) [[unlikely]]
    return free_slow(p);
  const zone &z = zones[c];
  uint64_t offset = reinterpret_cast<uint64_t>(p) - z.base;
  auto index = uint64_t(__extension__(unsigned __int128)(offset) * z.reciprocal >> 64);
  if (index * z.size != offset || index >= z.items) [[unlikely]]
    return free_slow(p);
#if M9_COUNTING
  auto tag = int16_t(z.tags[index]);
  if (tag <= 0) [[unlikely]] // never handed out, or freed
    return free_slow(p);
  z.tags[index] = uint16_t(tag | int16_t(tag_freed));
  uint64_t cell = zone_cell(z, uint32_t(tag));
#else
  uint64_t cell = zone_cell(z, tag_other);
#endif
  uint64_t pushed = rseq::push_and_count(z.cache, index, cell);
  if (pushed <= rseq::push_uncounted) [[unlikely]]
    return free_full(z, index, cell, pushed);
}

// The rest of the family. nullptr: refused, or (realloc) size 0; the block is untouched where it is refused.
void *realloc_in_place(void *p, size_t size);                        // p when it can stay where it is, else nullptr
void *aligned_slow(size_t alignment, size_t size, uintptr_t caller); // alignment: a power of two
size_t usable_size(const void *p, const char *call);
size_t checked_size(const void *p, const char *call);             // as usable_size, but 0 for a block of libc's own
bool size_mismatch(const void *p, size_t size, size_t alignment); // what free_sized was told does not fit the block

} // namespace m9
