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
#define M9_CALLER reinterpret_cast<uintptr_t>(__builtin_return_address(0))

namespace m9 {

inline void *or_enomem(void *p) {
  if (!p) [[unlikely]]
    errno = ENOMEM;
  return p;
}

struct libc_kind {
  [[gnu::noinline, gnu::cold]] static void *slow(size_t size, uintptr_t caller) {
    return or_enomem(malloc_slow(size, caller));
  }
  [[gnu::noinline, gnu::cold]] static void *refill(const zone &z, uint64_t cell) {
    return or_enomem(malloc_refill(z, cell));
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
  [[gnu::noinline, gnu::cold]] static void *slow(size_t size, uintptr_t caller) {
    return until(size, 1, [=] { return malloc_slow(size, caller); });
  }
  [[gnu::noinline, gnu::cold]] static void *refill(const zone &z, uint64_t cell) {
    return until(z.size, 1, [&z, cell] { return malloc_refill(z, cell); });
  }
};

// Shared by names that are another name's twin.
void *calloc_from(size_t n, size_t size, uintptr_t caller);
void *realloc_from(void *p, size_t size, uintptr_t caller);
void *memalign_from(size_t alignment, size_t size, uintptr_t caller);
void *valloc_from(size_t size, bool whole_pages, uintptr_t caller);
int posix_memalign_from(void **to, size_t alignment, size_t size, uintptr_t caller);
void free_checked(void *p, size_t size, size_t alignment); // counts a wrong size

} // namespace m9
