// SPDX-License-Identifier: BSD-2-Clause
//
// malloc(9) for programs: allocations of types that the program names itself. For C11 and C++20; malloc9(3) explains.
//
//   MALLOC_DEFINE(M_FOO, "foo", "what foos are made of");    in one file; MALLOC_DECLARE(M_FOO); in headers
//   struct foo *p = malloc9(sizeof *p, M_FOO, M_WAITOK | M_ZERO);
//   free9(p, M_FOO);
//
// Nothing is linked for this: without libmalloc9.so in the process the same calls are libc's, and nothing is counted.
// Names that begin with m9_ are the library's side of it.
#pragma once

// C reads this too. NOLINTBEGIN(modernize-use-using,modernize-use-nullptr)

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define M_NOWAIT 0x0001 // NULL when there is no memory
#define M_WAITOK 0x0002 // never NULL: waits until there is memory
#define M_ZERO 0x0100   // reads as zeros, all of its usable size
#define M_NODUMP 0x0800 // in pages of its own that are not part of core dumps

enum { M_MAGIC = 877983977 };

struct malloc_type {
  struct malloc_type *ks_next; // of those that the library hands out
  unsigned long ks_magic;      // M_MAGIC
  const char *ks_shortdesc;
  void *ks_handle; // the library's
};

typedef void malloc_type_list_func_t(struct malloc_type *, void *);

// A type, to be named as an array, as in FreeBSD; `static` may stand before MALLOC_DEFINE.
#define MALLOC_DECLARE(type) extern struct malloc_type type[1]
#define MALLOC_DEFINE(type, shortdesc, longdesc)                                                                       \
  struct malloc_type type[sizeof("" longdesc) > 0] = {{NULL, M_MAGIC, "" shortdesc, NULL}}

#define M9_WEAK __attribute__((weak))

#ifdef __cplusplus
#define M9_INLINE inline
extern "C" {
#else
#define M9_INLINE static inline
#endif

extern void *m9_malloc(size_t size, struct malloc_type *type, int flags) M9_WEAK;
extern void *m9_calloc(size_t n, size_t size, struct malloc_type *type, int flags) M9_WEAK;
extern void *m9_realloc(void *p, size_t size, struct malloc_type *type, int flags) M9_WEAK;
extern void *m9_reallocf(void *p, size_t size, struct malloc_type *type, int flags) M9_WEAK;
extern void m9_free(void *p, struct malloc_type *type) M9_WEAK;
extern void m9_type_allocated(struct malloc_type *type, size_t size) M9_WEAK;
extern void m9_type_freed(struct malloc_type *type, size_t size) M9_WEAK;
extern struct malloc_type *m9_desc2type(const char *shortdesc) M9_WEAK;
extern void m9_type_list(malloc_type_list_func_t *function, void *argument) M9_WEAK;
extern int m9_last_fail(void) M9_WEAK;
extern struct malloc_type *m9_scope_set(struct malloc_type *type) M9_WEAK;
extern int m9_mark(const char *name) M9_WEAK;

// Whether the library is in this process.
M9_INLINE int malloc9_present(void) { return m9_malloc != NULL; }

M9_INLINE unsigned char *m9_bytes(void *p) {
#ifdef __cplusplus
  return static_cast<unsigned char *>(p);
#else
  return p;
#endif
}

// libc's answer to a request, without the library.
M9_INLINE void *m9_plain_realloc(void *p, size_t size, int flags) {
  size_t before = p ? malloc_usable_size(p) : 0;
  if (size > PTRDIFF_MAX) { // can never be had
    if (flags & M_WAITOK)
      abort();
    errno = ENOMEM;
    return NULL;
  }
  for (;;) {
    void *q = !p && (flags & M_ZERO) ? calloc(1, size) : realloc(p, size ? size : 1);
    if (q) {
      size_t now = p && (flags & M_ZERO) ? malloc_usable_size(q) : 0;
      if (now > before)
        memset(&m9_bytes(q)[before], 0, now - before);
      return q;
    }
    if (!(flags & M_WAITOK))
      return NULL;
    poll(NULL, 0, 10);
  }
}

// `size` bytes of the type. M_NOWAIT or M_WAITOK, with M_ZERO and M_NODUMP as wanted.
M9_INLINE void *malloc9(size_t size, struct malloc_type *type, int flags) {
  return m9_malloc ? m9_malloc(size, type, flags) : m9_plain_realloc(NULL, size, flags);
}

// n times `size` bytes, which read as zeros.
M9_INLINE void *calloc9(size_t n, size_t size, struct malloc_type *type, int flags) {
  size_t total;
  if (m9_calloc)
    return m9_calloc(n, size, type, flags);
  if (__builtin_mul_overflow(n, size, &total))
    total = SIZE_MAX;
  return m9_plain_realloc(NULL, total, flags | M_ZERO);
}

// p, or a block that has its contents, with room for `size` bytes; a size of 0 frees nothing. What moves is of the type
// that is named; what stays keeps its own. NULL (never with M_WAITOK): p is as it was.
M9_INLINE void *realloc9(void *p, size_t size, struct malloc_type *type, int flags) {
  return m9_realloc ? m9_realloc(p, size, type, flags) : m9_plain_realloc(p, size, flags);
}

// The same, but p is freed when there is no memory.
M9_INLINE void *reallocf9(void *p, size_t size, struct malloc_type *type, int flags) {
  void *q;
  if (m9_reallocf)
    return m9_reallocf(p, size, type, flags);
  q = m9_plain_realloc(p, size, flags);
  if (!q)
    free(p);
  return q;
}

// Frees what is of the type. Of another type, it is freed too, charged to its own, and reported.
M9_INLINE void free9(void *p, struct malloc_type *type) {
  if (m9_free)
    m9_free(p, type);
  else
    free(p);
}

// Charge a type with memory that did not come from here, such as a pool of the program's own. A size of 0 is nothing.
M9_INLINE void malloc_type_allocated(struct malloc_type *type, size_t size) {
  if (m9_type_allocated)
    m9_type_allocated(type, size);
}
M9_INLINE void malloc_type_freed(struct malloc_type *type, size_t size) {
  if (m9_type_freed)
    m9_type_freed(type, size);
}

// The newest type with this name, declared or a call site; NULL: there is none.
M9_INLINE struct malloc_type *malloc_desc2type(const char *shortdesc) {
  return m9_desc2type ? m9_desc2type(shortdesc) : NULL;
}

// Calls function(type, argument) for every type, the newest first.
M9_INLINE void malloc_type_list(malloc_type_list_func_t *function, void *argument) {
  if (m9_type_list)
    m9_type_list(function, argument);
}

// Seconds since one of these functions last returned NULL for want of memory; INT_MAX: never.
M9_INLINE int malloc_last_fail(void) { return m9_last_fail ? m9_last_fail() : INT_MAX; }

// Keeps what this process counted up to now, for the command as PROCESS@NAME: letters, digits, dots, - and _. 0, or -1
// where it does not count in a file (MALLOC9_CONF=stats:DIR) or the name cannot be used.
M9_INLINE int malloc9_mark(const char *name) { return m9_mark ? m9_mark(name) : -1; }

// From push to pop, what this thread allocates by malloc, new and the like is of the type; malloc9 and its kin go on to
// name their own. NULL: of who calls, as outside of any scope. pop wants what push returned, and so also ends scopes
// inside of this one that a longjmp left.
M9_INLINE struct malloc_type *malloc9_scope_push(struct malloc_type *type) {
  return m9_scope_set ? m9_scope_set(type) : NULL;
}
M9_INLINE void malloc9_scope_pop(struct malloc_type *before) {
  if (m9_scope_set)
    m9_scope_set(before);
}
M9_INLINE void m9_scope_end(struct malloc_type **before) { malloc9_scope_pop(*before); }

#ifdef __cplusplus
} // extern "C"

// A scope that lasts as long as the object. Not to be moved to another thread.
class malloc9_scope {
public:
  explicit malloc9_scope(struct malloc_type *type) : m_before(malloc9_scope_push(type)) {}
  ~malloc9_scope() { malloc9_scope_pop(m_before); }
  malloc9_scope(const malloc9_scope &) = delete;
  malloc9_scope &operator=(const malloc9_scope &) = delete;

private:
  struct malloc_type *m_before;
};
#endif

// A scope from here to the end of the block, in C and C++.
#define M9_JOIN_TWO(a, b) a##b
#define M9_JOIN(a, b) M9_JOIN_TWO(a, b)
#define MALLOC9_SCOPE(type)                                                                                            \
  struct malloc_type *M9_JOIN(m9_scope_at_, __LINE__) __attribute__((cleanup(m9_scope_end), unused)) =                 \
      malloc9_scope_push(type)
// NOLINTEND(modernize-use-using,modernize-use-nullptr)
