// SPDX-License-Identifier: BSD-2-Clause
//
// The 20 replaceable allocation functions of C++ ([new.delete]), so that their callers, and not the C++ library, are
// the call sites. The C++ library itself may be absent: it is reached by weak references and, where a C program loaded
// it later, by its name.
#include <dlfcn.h>
#include <new>

#include "preload/kinds.h"
#include "shim/panic.h"

extern "C" {
__attribute__((weak)) void (*_ZSt15get_new_handlerv())();
__attribute__((weak)) void _ZSt17__throw_bad_allocv();
}

namespace m9 {
namespace {

// A function of a C++ library that is already loaded.
void *cxx_find(const char *name) {
  for (const char *library : {"libstdc++.so.6", "libc++.so.1"})
    if (void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD))
      if (void *p = dlsym(handle, name))
        return p;
  return nullptr;
}

} // namespace

std::new_handler new_handler_find() {
  auto get = &_ZSt15get_new_handlerv;
  if (!get)
    get = reinterpret_cast<decltype(get)>(cxx_find("_ZSt15get_new_handlerv"));
  return get ? get() : nullptr;
}

// A handler may throw, and only code of the C++ library can catch that: its own nothrow operator calls the throwing
// one, which is ours.
void *new_nothrow_retry(size_t size, size_t alignment) {
  if (!new_handler_find())
    return nullptr;
  if (alignment > 16) {
    auto *next = cxx_find("_ZnwmSt11align_val_tRKSt9nothrow_t");
    auto call = reinterpret_cast<void *(*)(size_t, size_t, const std::nothrow_t *)>(next);
    std::nothrow_t tag;
    return call ? call(size, alignment, &tag) : nullptr;
  }
  auto call = reinterpret_cast<void *(*)(size_t, const std::nothrow_t *)>(cxx_find("_ZnwmRKSt9nothrow_t"));
  std::nothrow_t tag;
  return call ? call(size, &tag) : nullptr;
}

void new_failed() {
  auto raise = &_ZSt17__throw_bad_allocv;
  if (!raise)
    raise = reinterpret_cast<decltype(raise)>(cxx_find("_ZSt17__throw_bad_allocv"));
  if (raise)
    raise();
  panic("operator new: out of memory, and the program has no C++ library to throw std::bad_alloc");
}

namespace {

template <bool throws> void *aligned_new(size_t size, std::align_val_t alignment, call_frame f) {
  auto power = size_t(alignment);
  if (power <= 16)
    return malloc_fast<new_kind<throws>>(size, f);
  return new_kind<throws>::until(size, power, [=] { return aligned_slow(power, size, f); });
}

// The compiler passes the size of the type, so a wrong one is a bug worth counting.
[[gnu::always_inline]] inline void sized_delete(void *p, size_t size) {
  uint64_t at = reinterpret_cast<uint64_t>(p) - zone_list.base;
  if (at >= fast.zones_limit) [[unlikely]]
    return free_checked(p, size, 1);
  const zone &z = zone_of_offset(at);
  uint64_t index;
  if (!zone_serves(z, size) || !zone_index(z, p, index)) [[unlikely]]
    return free_checked(p, size, 1);
  zone_free(z, index, p);
}

} // namespace
} // namespace m9

using namespace m9;
#define M9_OPERATOR __attribute__((visibility("default")))

M9_OPERATOR void *operator new(size_t n) { return malloc_fast<new_kind<true>>(n, M9_CALLER); }
M9_OPERATOR void *operator new[](size_t n) { return malloc_fast<new_kind<true>>(n, M9_CALLER); }
M9_OPERATOR void *operator new(size_t n, const std::nothrow_t &) noexcept {
  return malloc_fast<new_kind<false>>(n, M9_CALLER);
}
M9_OPERATOR void *operator new[](size_t n, const std::nothrow_t &) noexcept {
  return malloc_fast<new_kind<false>>(n, M9_CALLER);
}
M9_OPERATOR void *operator new(size_t n, std::align_val_t a) { return aligned_new<true>(n, a, M9_FRAME); }
M9_OPERATOR void *operator new[](size_t n, std::align_val_t a) { return aligned_new<true>(n, a, M9_FRAME); }
M9_OPERATOR void *operator new(size_t n, std::align_val_t a, const std::nothrow_t &) noexcept {
  return aligned_new<false>(n, a, M9_FRAME);
}
M9_OPERATOR void *operator new[](size_t n, std::align_val_t a, const std::nothrow_t &) noexcept {
  return aligned_new<false>(n, a, M9_FRAME);
}

M9_OPERATOR void operator delete(void *p) noexcept { free_fast(p); }
M9_OPERATOR void operator delete[](void *p) noexcept { free_fast(p); }
M9_OPERATOR void operator delete(void *p, const std::nothrow_t &) noexcept { free_fast(p); }
M9_OPERATOR void operator delete[](void *p, const std::nothrow_t &) noexcept { free_fast(p); }
M9_OPERATOR void operator delete(void *p, size_t n) noexcept { sized_delete(p, n); }
M9_OPERATOR void operator delete[](void *p, size_t n) noexcept { sized_delete(p, n); }
M9_OPERATOR void operator delete(void *p, std::align_val_t) noexcept { free_fast(p); }
M9_OPERATOR void operator delete[](void *p, std::align_val_t) noexcept { free_fast(p); }
M9_OPERATOR void operator delete(void *p, std::align_val_t, const std::nothrow_t &) noexcept { free_fast(p); }
M9_OPERATOR void operator delete[](void *p, std::align_val_t, const std::nothrow_t &) noexcept { free_fast(p); }
M9_OPERATOR void operator delete(void *p, size_t n, std::align_val_t a) noexcept { free_checked(p, n, size_t(a)); }
M9_OPERATOR void operator delete[](void *p, size_t n, std::align_val_t a) noexcept { free_checked(p, n, size_t(a)); }
