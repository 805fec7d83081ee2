// SPDX-License-Identifier: BSD-2-Clause
//
// How the exported names fail: libc's set errno, C++'s call the new-handler and throw (or return nullptr). All of it is
// on the cold side of the fast paths in core/malloc.h.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>

#include "core/malloc.h"

#define M9_EXPORT extern "C" __attribute__((visibility("default")))
// Where malloc and operator new were called from. The return address alone, where what needs more is reached by a jump.
#if M9_TAIL_CALLS
#define M9_CALLER (::m9::return_address{reinterpret_cast<uintptr_t>(__builtin_return_address(0))})
#else
#define M9_CALLER M9_FRAME
#endif

namespace m9 {

inline void *or_enomem(void *p) {
  if (!p) [[unlikely]]
    errno = ENOMEM;
  return p;
}

// preload/frames.cc. Those that take no frame, or a return_address, are to be jumped to by the exported functions
// themselves, which they are as these need no stack. malloc_walk stands there once, as the linker may not discard its
// rseq section.
extern "C" {
M9_HIDDEN void *m9_walked_libc(uint64_t zone_key, size_t size, const site &, uint64_t key, uintptr_t cfa,
                               uintptr_t rbp);
M9_HIDDEN void *m9_walked_new(uint64_t zone_key, size_t size, const site &, uint64_t key, uintptr_t cfa, uintptr_t rbp);
M9_HIDDEN void *m9_walked_nothrow(uint64_t zone_key, size_t size, const site &, uint64_t key, uintptr_t cfa,
                                  uintptr_t rbp);
M9_HIDDEN void *m9_walk_libc(uint64_t zone_key, size_t size, const site &, uint64_t key);
M9_HIDDEN void *m9_walk_new(uint64_t zone_key, size_t size, const site &, uint64_t key);
M9_HIDDEN void *m9_walk_nothrow(uint64_t zone_key, size_t size, const site &, uint64_t key);
M9_HIDDEN void *m9_slow_libc(size_t size, return_address);
M9_HIDDEN void *m9_slow_new(size_t size, return_address);
M9_HIDDEN void *m9_slow_nothrow(size_t size, return_address);
}

struct libc_kind {
  static void *walk(uint64_t zone_key, size_t size, const site &s, uint64_t key, return_address) {
    return m9_walk_libc(zone_key, size, s, key);
  }
  static void *walk(uint64_t zone_key, size_t size, const site &s, uint64_t key, call_frame f) {
    return m9_walked_libc(zone_key, size, s, key, f.cfa, f.rbp);
  }
  static void *slow(size_t size, return_address r) { return m9_slow_libc(size, r); }
  [[gnu::noinline, gnu::cold]] static void *slow(size_t size, call_frame f) { return or_enomem(malloc_slow(size, f)); }
  [[gnu::noinline, gnu::cold]] static void *refill(unsigned c, uint64_t cell) {
    return or_enomem(malloc_refill(c, cell));
  }
};

// The program's new-handler, or nullptr.
std::new_handler new_handler_find();
// Throws std::bad_alloc by the C++ library that the program has; stops the program where it has none.
[[noreturn]] void new_failed();
// What a nothrow operator does when memory is refused and there is a handler.
void *new_nothrow_retry(size_t size, size_t alignment);

template <bool throws> struct new_kind {
  // [new.delete.single]: calls the handler and tries again until it works, there is no handler, or that throws.
  template <class Try> static void *until(size_t size, size_t alignment, Try attempt) {
    for (;;) {
      if (void *p = attempt()) [[likely]]
        return p;
      if constexpr (!throws)
        return new_nothrow_retry(size, alignment);
      std::new_handler handler = new_handler_find();
      if (!handler)
        new_failed();
      handler();
    }
  }
  static void *walk(uint64_t zone_key, size_t size, const site &s, uint64_t key, return_address) {
    return throws ? m9_walk_new(zone_key, size, s, key) : m9_walk_nothrow(zone_key, size, s, key);
  }
  static void *walk(uint64_t zone_key, size_t size, const site &s, uint64_t key, call_frame f) {
    auto *walked = throws ? m9_walked_new : m9_walked_nothrow;
    return walked(zone_key, size, s, key, f.cfa, f.rbp);
  }
  static void *slow(size_t size, return_address r) { return throws ? m9_slow_new(size, r) : m9_slow_nothrow(size, r); }
  [[gnu::noinline, gnu::cold]] static void *slow(size_t size, call_frame f) {
    return until(size, 1, [=] { return malloc_slow(size, f); });
  }
  [[gnu::noinline, gnu::cold]] static void *refill(unsigned c, uint64_t cell) {
    return until(class_size(c), 1, [=] { return malloc_refill(c, cell); });
  }
};

// Shared by names that are another name's twin.
void *calloc_from(size_t n, size_t size, call_frame f);
void *realloc_from(void *p, size_t size, call_frame f);
void *memalign_from(size_t alignment, size_t size, call_frame f);
void *valloc_from(size_t size, bool whole_pages, call_frame f);
int posix_memalign_from(void **to, size_t alignment, size_t size, call_frame f);
void free_checked(void *p, size_t size, size_t alignment); // counts a wrong size

} // namespace m9
