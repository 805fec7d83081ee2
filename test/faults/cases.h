// SPDX-License-Identifier: BSD-2-Clause
//
// What the fault programs share: each is a few cases of one theme; the first argument names the case to run. A case
// checks what it sees itself. What only the library's statistics show it prints: `FUNCTION ALLOCS FREES` for a call
// site of its own (with `MODULE!` in front for one in a library; after the word `sum` for all types of that name
// together), and `note NUMBER TEXT` for a note of the table.
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline, visibility("default")))

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      check_failed(__FILE__, __LINE__, #condition);                                                                    \
  } while (0)

static inline void check_failed(const char *file, int line, const char *condition) {
  int error = errno;
  dprintf(2, "%s:%d: not so: %s (errno %d)\n", file, line, condition, error);
  _exit(1);
}

// The compiler is not to know where a pointer came from, nor that nobody uses it.
static inline void *hide(void *p) {
  __asm__ volatile("" : "+r"(p) : : "memory");
  return p;
}

static inline size_t hide_size(size_t size) {
  __asm__ volatile("" : "+r"(size));
  return size;
}

struct test_case {
  const char *name;
  void (*run)(void);
};

static inline int run_case(int argc, char **argv, const struct test_case *cases, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) {
      cases[i].run();
      return 0;
    }
  }
  fprintf(stderr, "no such case\n");
  return 2;
}

#define RUN_CASE(argc, argv, cases) run_case(argc, argv, cases, sizeof(cases) / sizeof *(cases))
