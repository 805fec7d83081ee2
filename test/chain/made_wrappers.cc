// SPDX-License-Identifier: BSD-2-Clause
#include "made.h"

#include <alloca.h>
#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {

void *xmalloc(size_t size) {
  void *p = malloc(size);
  if (!p)
    abort();
  return p;
}

void *xcalloc(size_t n, size_t size) {
  void *p = calloc(n, size);
  if (!p)
    abort();
  return p;
}

void *xrealloc(void *p, size_t size) {
  if (!p)
    return xmalloc(size);
  p = realloc(p, size);
  if (!p)
    abort();
  return p;
}

char *xstrdup(const char *text) {
  size_t size = strlen(text) + 1;
  auto *copy = static_cast<char *>(xrealloc(nullptr, size));
  memcpy(copy, text, size);
  return copy;
}

void *g_malloc(size_t size) { return size ? xmalloc(size) : nullptr; }

char *g_strdup_printf(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *text = nullptr;
  if (vasprintf(&text, format, arguments) < 0)
    abort();
  va_end(arguments);
  return text;
}

void *zmalloc(size_t size) {
  auto *p = static_cast<size_t *>(malloc(size + sizeof size));
  if (!p)
    abort();
  *p = size;
  return p;
}

// Each does something behind the call, so that it stays on the stack.
#define DEEP(n, below)                                                                                                 \
  NOINLINE void *deep##n##_malloc(size_t size) {                                                                       \
    void *p = below(size);                                                                                             \
    touch(static_cast<char *>(p), n);                                                                                  \
    return p;                                                                                                          \
  }
DEEP(1, malloc)
DEEP(2, deep1_malloc)
DEEP(3, deep2_malloc)
DEEP(4, deep3_malloc)
DEEP(5, deep4_malloc)
DEEP(6, deep5_malloc)
DEEP(7, deep6_malloc)

NOINLINE void *alloca_malloc(size_t size) {
  auto *bytes = static_cast<char *>(alloca(size % 100 + 1));
  touch(bytes, size % 100 + 1);
  void *p = malloc(size);
  touch(bytes, 1);
  return p;
}

NOINLINE void *array_malloc(size_t size) {
  char bytes[size % 3000 + 1];
  touch(bytes, sizeof bytes);
  void *p = alloca_malloc(size);
  touch(bytes, 1);
  return p;
}

NOINLINE void *aligned_frame_malloc(size_t size) {
  alignas(128) char bytes[128];
  touch(bytes, sizeof bytes);
  void *p = malloc(size);
  touch(bytes, 1);
  return p;
}

// Frames of about this many bytes, each a function with a name of its own.
#define FRAME_MALLOC(name, frame)                                                                                      \
  NOINLINE void *name(size_t size) {                                                                                   \
    char bytes[frame];                                                                                                 \
    touch(bytes, sizeof bytes);                                                                                        \
    void *p = malloc(size);                                                                                            \
    touch(bytes, 1);                                                                                                   \
    return p;                                                                                                          \
  }
FRAME_MALLOC(wide_frame_malloc, 10000)
FRAME_MALLOC(big_frame_malloc, 60000)
FRAME_MALLOC(huge_frame_malloc, 100000)

NOINLINE void *recursive_malloc(size_t size, int depth) {
  char bytes[16];
  touch(bytes, sizeof bytes);
  void *p = depth ? recursive_malloc(size, depth - 1) : malloc(size);
  touch(bytes, 1);
  return p;
}

NOINLINE void *called_back_malloc(size_t size, void *(*allocate)(size_t)) {
  void *p = allocate(size);
  touch(static_cast<char *>(p), 1);
  return p;
}

NOINLINE void *jumping_malloc(size_t size, void *buffer) {
  char bytes[size % 50 + 1];
  touch(bytes, sizeof bytes);
  void *p = malloc(size);
  touch(bytes, 1);
  if (buffer) {
    keep(p);
    longjmp(static_cast<__jmp_buf_tag *>(buffer), 1);
  }
  return p;
}

NOINLINE void *throwing_malloc(size_t size, bool fail) {
  char bytes[size % 50 + 1];
  touch(bytes, sizeof bytes);
  void *p = malloc(size);
  touch(bytes, 1);
  if (fail) {
    keep(p);
    throw 5;
  }
  return p;
}

NOINLINE void *first_malloc(size_t size) {
  void *p = malloc(size);
  touch(static_cast<char *>(p), 1);
  return p;
}
}
