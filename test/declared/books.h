// SPDX-License-Identifier: BSD-2-Clause
//
// What the programs of this folder share: their own books of declared types, printed as JSON at the end for
// declared_test.py to compare, and checks that hold with and without the library. C and C++.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "preload/malloc9.h"

struct book {
  const char *type;
  unsigned long numallocs, numfrees, memalloced, memfreed;
};

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      printf("line %d: %s\n", __LINE__, #condition);                                                                   \
      fflush(stdout);                                                                                                  \
      _Exit(1);                                                                                                        \
    }                                                                                                                  \
  } while (0)

// The compiler is not to leave out what is freed at once.
static inline void *used(void *p) {
  __asm__ volatile("" : "+r"(p));
  return p;
}

static inline void *book_made(struct book *b, void *p) {
  CHECK(p != NULL);
  b->numallocs++;
  b->memalloced += malloc_usable_size(p);
  return p;
}

static inline void *book_gone(struct book *b, void *p) {
  b->numfrees++;
  b->memfreed += malloc_usable_size(p);
  return p;
}

static inline void books_print(const struct book *books, size_t n) {
  printf("{\"present\": %d, \"books\": {", malloc9_present());
  for (size_t i = 0; i < n; i++)
    printf("%s\"%s\": [%lu, %lu, %lu, %lu]", i ? ", " : "", books[i].type, books[i].numallocs, books[i].numfrees,
           books[i].memalloced, books[i].memfreed);
  printf("}}\n");
  fflush(stdout);
}
