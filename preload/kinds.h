// SPDX-License-Identifier: BSD-2-Clause
//
// How the exported names fail: libc's set errno, C++'s call the new-handler and throw (or return nullptr). All of it is
// on the cold side of the fast paths in core/malloc.h.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

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
  [[gnu::noinline, gnu::cold]] static void *refill(const zone &z, uint64_t cell, int64_t popped) {
    return or_enomem(malloc_refill(z, cell, popped));
  }
};

// Calls the program's new-handler; false when there is none. Throws what the handler throws.
bool new_handler_call();
// Throws std::bad_alloc by the C++ library that the program has; stops the program where it has none.
[[noreturn]] void new_failed();

template <bool throws> struct new_kind {
  template <class Try> static void *until(Try attempt) {
    for (;;) {
      if (void *p = attempt()) [[likely]]
        return p;
      if (!new_handler_call()) {
        if constexpr (throws)
          new_failed();
        else
          return nullptr;
      }
    }
  }
  [[gnu::noinline, gnu::cold]] static void *slow(size_t size, uintptr_t caller) {
    return until([=] { return malloc_slow(size, caller); });
  }
  [[gnu::noinline, gnu::cold]] static void *refill(const zone &z, uint64_t cell, int64_t popped) {
    return until([&z, cell, popped] { return malloc_refill(z, cell, popped); });
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
