// SPDX-License-Identifier: BSD-2-Clause
//
// How malloc and operator new go on when the return address alone does not say enough (preload/kinds.h).
#include "core/chain.h"
#include "preload/kinds.h"
#include "shim/frame_finder.h"

using namespace m9;

extern "C" {
// A call_frame in its two registers: gcc 12 makes one vector of the structure, by way of the stack.
void *m9_walked_libc(uint64_t zone_key, size_t size, const site &s, uint64_t key, uintptr_t cfa, uintptr_t rbp) {
  return malloc_walk<libc_kind>(zone_key, size, s, key, {cfa, rbp});
}
void *m9_walked_new(uint64_t zone_key, size_t size, const site &s, uint64_t key, uintptr_t cfa, uintptr_t rbp) {
  return malloc_walk<new_kind<true>>(zone_key, size, s, key, {cfa, rbp});
}
void *m9_walked_nothrow(uint64_t zone_key, size_t size, const site &s, uint64_t key, uintptr_t cfa, uintptr_t rbp) {
  return malloc_walk<new_kind<false>>(zone_key, size, s, key, {cfa, rbp});
}
M9_HIDDEN void *m9_slowly_libc(size_t size, call_frame f) { return libc_kind::slow(size, f); }
M9_HIDDEN void *m9_slowly_new(size_t size, call_frame f) { return new_kind<true>::slow(size, f); }
M9_HIDDEN void *m9_slowly_nothrow(size_t size, call_frame f) { return new_kind<false>::slow(size, f); }
}

M9_FRAME_FINDER_FIFTH(m9_walk_libc, m9_walked_libc)
M9_FRAME_FINDER_FIFTH(m9_walk_new, m9_walked_new)
M9_FRAME_FINDER_FIFTH(m9_walk_nothrow, m9_walked_nothrow)
M9_FRAME_FINDER_SECOND(m9_slow_libc, m9_slowly_libc)
M9_FRAME_FINDER_SECOND(m9_slow_new, m9_slowly_new)
M9_FRAME_FINDER_SECOND(m9_slow_nothrow, m9_slowly_nothrow)
