// SPDX-License-Identifier: BSD-2-Clause
//
// malloc and free, top to bottom.
//
//   malloc         small sizes: the zone's part of the key by table; else on to
//   malloc_medium  by logarithm; else on to slow (cold)
//   malloc_from    key = call site + zone -> cell and tag, by the direct table; else on to
//   malloc_walk    one step up, by the direct table; else on past wrappers, as the last time; else by the table behind
//                  the direct one; else step by step, or all of it (stack:N);  first sight: slow (cold)
//   malloc_at      pop_and_count; stamp the tag; address = base - index * size.  Empty cache: refill (cold)
//   free           zone by address -> index -> tag -> push_and_count
//                    full cache: free_full (cold);  anything odd, and all else: free_slow (cold)
//
// The fast paths call nothing but inline verbs, and leave by tail calls. A `Kind` says how a caller fails:
//   Kind::slow(size, where), Kind::refill(class, cell), and Kind::walk(zone_key, size, slot, key, where), which is
//   malloc_walk.
// `where` is a call_frame or, in the names that do no more than this, a return_address, of which walk and slow make
// one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/chain.h"
#include "core/site.h"
#include "core/stack.h"
#include "core/zone.h"
#include "shim/process.h"

namespace m9 {

// The cold parts. They return nullptr when memory is refused and leave errno alone.
void *malloc_slow(size_t size, call_frame f);
void *malloc_refill(unsigned c, uint64_t cell);
void *calloc_slow(size_t size, call_frame f);
void free_slow(void *p);
void free_full(const zone &z, uint64_t index, uint64_t cell);

template <class Kind>
[[gnu::always_inline]] inline void *malloc_at(uint64_t zone_key, const zone &z, uint64_t cell, uint16_t stamp) {
  uint64_t index;
  if (!rseq::pop_and_count(zone_key_cache(zone_key), cell, index)) [[unlikely]]
    return Kind::refill(zone_key_class(zone_key), cell);
  return zone_hand_out(z, index, stamp);
}
template <class Kind> [[gnu::always_inline]] inline void *malloc_at(uint64_t zone_key, uint64_t place) {
  return malloc_at<Kind>(zone_key, zone_key_zone(zone_key), place_cell(place), place_stamp(place));
}

// A site off its slot of the direct table, or a wrapper: then its caller's caller is who counts.
template <class Kind> [[gnu::noinline]] static void *malloc_walk_far(uint64_t zone_key, size_t size, call_frame f) {
  if (uint64_t place = chain_place(f, zone_key)) [[likely]]
    return malloc_at<Kind>(zone_key, place);
  if (stack_depth != 0)
    if (uint64_t place = stack_look(f, unsigned(zone_key >> 48)))
      return malloc_at<Kind>(zone_key, place);
  return Kind::slow(size, f);
}
template <class Kind>
[[gnu::noinline]] static void *malloc_walk_otherwise(uint64_t zone_key, size_t size, call_frame f) {
  if (uint64_t place = site_displaced(f, zone_key))
    return malloc_at<Kind>(zone_key, place);
  if (uint64_t place; walk_known_otherwise(f, zone_key, place)) [[likely]]
    return malloc_at<Kind>(zone_key, place);
  return malloc_walk_far<Kind>(zone_key, size, f);
}
template <class Kind> [[gnu::noinline]] static void *malloc_walk_on(uint64_t zone_key, size_t size, call_frame f) {
  if (uint64_t place; walk_known(f, zone_key, place)) [[likely]]
    return malloc_at<Kind>(zone_key, place);
  return malloc_walk_otherwise<Kind>(zone_key, size, f);
}
template <class Kind>
[[gnu::always_inline]] inline void *malloc_walk(uint64_t zone_key, size_t size, const site &step, uint64_t key,
                                                call_frame f) {
  if (const site *s = site_one_up(f, zone_key, step, key)) [[likely]]
    return malloc_at<Kind>(zone_key, zone_key_zone(zone_key), site_cell(*s), site_stamp(*s));
  return malloc_walk_on<Kind>(zone_key, size, f);
}

template <class Kind, class Where>
[[gnu::always_inline]] inline void *malloc_from(lookup_tables &tables, const sized &of, size_t size, Where where) {
  uint64_t zone_key = of.zone_key;
#if !M9_COUNTING // whose it is, is asked for counting only; the refill that asks anyway is part of slow
  if (uint64_t index; rseq::pop_and_count(zone_key_cache(zone_key), 0, index)) [[likely]]
    return zone_hand_out(*of.items, index, 0);
  return Kind::slow(size, where);
#endif
  uint64_t key = where.caller() + zone_key;
  const site &s = site_direct(tables, key);
  if (s.key != key) [[unlikely]]
    return Kind::walk(zone_key, size, s, key, where);
  return malloc_at<Kind>(zone_key, *of.items, site_cell(s), site_stamp(s));
}

// Static: a section that the linker may discard must not hold rseq sections.
template <class Kind, class Where> [[gnu::noinline]] static void *malloc_medium(size_t size, Where where) {
  if (size >= fast.medium_limit) [[unlikely]]
    return Kind::slow(size, where);
  return malloc_from<Kind>(lookups, lookups.of_class[class_of_medium(size)], size, where);
}

template <class Kind, class Where> [[gnu::always_inline]] inline void *malloc_fast(size_t size, Where where) {
  if (size >= fast.small_limit) [[unlikely]]
    return malloc_medium<Kind>(size, where);
  lookup_tables &tables = *reinterpret_cast<lookup_tables *>(opaque(reinterpret_cast<uintptr_t>(&lookups)));
  return malloc_from<Kind>(tables, sized_of(tables, size), size, where);
}

[[gnu::always_inline]] inline void zone_free(const zone &z, uint64_t index, [[maybe_unused]] void *p) {
#if M9_COUNTING
  uint16_t *tags = z.tags;
  uint64_t stamp = opaque(tags[index]);
  if (!(stamp & stamp_held)) [[unlikely]] // never handed out, or freed
    return free_slow(p);
  // One instruction in memory, which it is as long as the compiler knows nothing of what stands there.
  stamp_set_freed(reinterpret_cast<uint16_t *>(opaque(reinterpret_cast<uintptr_t>(tags))), index);
#else
  uint64_t stamp = stamp_of(tag_other);
#endif
  if (!rseq::push_and_count(z.cache, zone_owner(z), index, z.cells, stamp)) [[unlikely]]
    free_full(z, index, zone_cell(z, stamp_tag(uint16_t(stamp))));
}

[[gnu::always_inline]] inline void free_fast(void *p) {
  uint64_t at = reinterpret_cast<uint64_t>(p) - zone_list.base;
  if (at >= fast.zones_limit) [[unlikely]]
    return free_slow(p);
  const zone &z = zone_of_offset(at);
  uint64_t index;
  if (!zone_index(z, p, index)) [[unlikely]]
    return free_slow(p);
  zone_free(z, index, p);
}

// The zone of an item that a program holds; nullptr: it is none, or the fast paths are off.
[[gnu::always_inline]] inline const zone *zone_of_held(const void *p) {
  uint64_t at = reinterpret_cast<uint64_t>(p) - zone_list.base, index;
  if (at >= fast.zones_limit) [[unlikely]]
    return nullptr;
  const zone &z = zone_of_offset(at);
  return zone_index(z, p, index) && zone_holds(z, index) ? &z : nullptr;
}

// The rest of the family. nullptr: refused, or (realloc) size 0; the block is untouched where it is refused.
void *realloc_in_place(void *p, size_t size);                    // p when it can stay where it is, else nullptr
void *aligned_slow(size_t alignment, size_t size, call_frame f); // alignment: a power of two
size_t usable_size(const void *p, const char *call);
size_t checked_size(const void *p, const char *call);             // as usable_size, but 0 for a block of libc's own
size_t size_served(size_t size, size_t alignment);                // usable size of what such a request gets
bool size_mismatch(const void *p, size_t size, size_t alignment); // what free_sized was told does not fit the block

} // namespace m9
