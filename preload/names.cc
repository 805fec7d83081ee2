// SPDX-License-Identifier: BSD-2-Clause
//
// libc's allocation functions, as POSIX, C23 and glibc's manual give them. preload/names.list has all exported names.
#include <cstdio>

#include "preload/kinds.h"

using namespace m9;

M9_EXPORT void *malloc(size_t size) { return malloc_fast<libc_kind>(size, M9_CALLER); }
M9_EXPORT void free(void *p) { free_fast(p); }
M9_EXPORT void *calloc(size_t n, size_t size) { return calloc_from(n, size, M9_FRAME); }
M9_EXPORT void *realloc(void *p, size_t size) { return realloc_from(p, size, M9_FRAME); }

// As realloc for n * size bytes (OpenBSD, glibc 2.26): NULL and ENOMEM when the product overflows.
M9_EXPORT void *reallocarray(void *p, size_t n, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(n, size, &total))
    return or_enomem(nullptr);
  return realloc_from(p, total, M9_FRAME);
}

// As realloc, but frees p when it fails (FreeBSD).
M9_EXPORT void *reallocf(void *p, size_t size) {
  void *q = realloc_from(p, size, M9_FRAME);
  if (!q && p && size)
    free_fast(p);
  return q;
}

M9_EXPORT void *aligned_alloc(size_t alignment, size_t size) { return memalign_from(alignment, size, M9_FRAME); }
M9_EXPORT void *memalign(size_t alignment, size_t size) { return memalign_from(alignment, size, M9_FRAME); }
M9_EXPORT void *valloc(size_t size) { return valloc_from(size, false, M9_FRAME); }
M9_EXPORT void *pvalloc(size_t size) { return valloc_from(size, true, M9_FRAME); }
M9_EXPORT int posix_memalign(void **to, size_t alignment, size_t size) {
  return posix_memalign_from(to, alignment, size, M9_FRAME);
}

M9_EXPORT void cfree(void *p) { free_fast(p); }
// redis asks for every block that it allocates and frees.
M9_EXPORT size_t malloc_usable_size(void *p) {
  const zone *z = zone_of_held(p);
  return z ? zone_size(*z) : usable_size(p, "malloc_usable_size");
}
M9_EXPORT void free_sized(void *p, size_t size) { free_checked(p, size, 1); }
M9_EXPORT void free_aligned_sized(void *p, size_t alignment, size_t size) { free_checked(p, size, alignment); }

// jemalloc's: the low six bits of flags are the logarithm of the alignment.
M9_EXPORT void sdallocx(void *p, size_t size, int flags) { free_checked(p, size, size_t{1} << (flags & 63)); }
M9_EXPORT size_t nallocx(size_t size, int flags) {
  return size > PTRDIFF_MAX ? 0 : size_served(size ? size : 1, size_t{1} << (flags & 63));
}
M9_EXPORT size_t malloc_good_size(size_t size) { return nallocx(size, 0); }

// glibc's second set of names, which some libraries bind to.
M9_EXPORT void *__libc_malloc(size_t size) { return malloc_fast<libc_kind>(size, M9_CALLER); }
M9_EXPORT void __libc_free(void *p) { free_fast(p); }
M9_EXPORT void *__libc_calloc(size_t n, size_t size) { return calloc_from(n, size, M9_FRAME); }
M9_EXPORT void *__libc_realloc(void *p, size_t size) { return realloc_from(p, size, M9_FRAME); }
M9_EXPORT void *__libc_memalign(size_t alignment, size_t size) { return memalign_from(alignment, size, M9_FRAME); }
M9_EXPORT void *__libc_valloc(size_t size) { return valloc_from(size, false, M9_FRAME); }
M9_EXPORT void *__libc_pvalloc(size_t size) { return valloc_from(size, true, M9_FRAME); }
M9_EXPORT int __posix_memalign(void **to, size_t alignment, size_t size) {
  return posix_memalign_from(to, alignment, size, M9_FRAME);
}
