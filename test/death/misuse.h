// SPDX-License-Identifier: BSD-2-Clause
//
// What the death programs share. Each says on stdout, with `announce`, the exact line that the library is to print, and
// then does the one thing that is wrong. `@NAME` in that line stands for the type of the call site in function NAME:
// the runner puts in the name that a calm run's dump has for it. Run with "calm" as last argument, nothing wrong is
// done.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))

static int calm;

// The compiler is not to know where a pointer came from.
static inline void *hide(void *p) {
  __asm__ volatile("" : "+r"(p));
  return p;
}

SITE void *alloc_here(size_t size);
SITE void *alloc_here(size_t size) { return hide(malloc(size)); }

static inline void announce(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("malloc9: ");
  vprintf(format, arguments);
  putchar('\n');
  va_end(arguments);
  fflush(stdout);
}

static inline size_t size_argument(int argc, char **argv, int index, size_t otherwise) {
  return argc > index && argv[index][0] >= '0' && argv[index][0] <= '9' ? strtoul(argv[index], NULL, 0) : otherwise;
}

static inline const char *word_argument(int argc, char **argv, int index, const char *otherwise) {
  return argc > index && strcmp(argv[index], "calm") != 0 ? argv[index] : otherwise;
}

static inline void begin(int argc, char **argv) { calm = argc > 1 && strcmp(argv[argc - 1], "calm") == 0; }

// The wrong call, by name: "free", "realloc" or "malloc_usable_size".
size_t malloc_usable_size(void *p);
static inline int misuse(const char *name, void *p) {
  p = hide(p);
  if (calm)
    return 0;
  if (strcmp(name, "realloc") == 0)
    p = hide(realloc(p, 100));
  else if (strcmp(name, "malloc_usable_size") == 0)
    p = hide((void *)malloc_usable_size(p));
  else
    free(p);
  return 3; // not stopped
}

static inline void pin(size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// Runs `body(argument)` in a thread of its own, on the last CPU, and waits for its end.
static inline void *in_thread(void *(*body)(void *), void *argument) {
  pthread_t thread;
  void *result = NULL;
  if (pthread_create(&thread, NULL, body, argument) != 0 || pthread_join(thread, &result) != 0)
    exit(4);
  return result;
}
