// SPDX-License-Identifier: BSD-2-Clause
//
// Allocates a known number of items from known functions: what the verbs of the command are to tell. -DLEAK=N leaves N
// items of 100 bytes to themselves; -DSHIFT moves the code, so that only names are the same as in another build.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef LEAK
#define LEAK 0
#endif

void *volatile sink;

#ifdef SHIFT
__attribute__((noinline)) int shift(int n) { return n * 3 + printf("%d\n", n); }
#endif

__attribute__((noinline)) void *session_new(void) {
  void *session = malloc(100);
  memset(session, 1, 100);
  return session;
}

__attribute__((noinline)) void session_end(void *session) { free(session); }

__attribute__((noinline)) void *cache_fill(size_t size) {
  void *entry = calloc(1, size);
  sink = entry;
  return entry;
}

int main(void) {
  void *cache[10];
#ifdef SHIFT
  shift(1);
#endif
  for (int i = 0; i < 500; i++) {
    void *session = session_new();
    sink = session;
    if (i >= LEAK)
      session_end(session);
  }
  for (int i = 0; i < 10; i++)
    cache[i] = cache_fill(3000);
  for (int i = 0; i < 10; i++)
    free(cache[i]);
  return 0;
}
