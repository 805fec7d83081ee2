// SPDX-License-Identifier: BSD-2-Clause
//
// A library that allocates in its constructor and destructor, and has thread-local data for the loader to allocate.
#include <stdlib.h>

#define SITE __attribute__((noinline, visibility("default")))

SITE void *library_constructor_site(size_t size);
SITE void *library_destructor_site(size_t size);
int *library_thread_data(void);

static void *keep(void *p) {
  __asm__ volatile("" : "+r"(p));
  return p;
}

SITE void *library_constructor_site(size_t size) { return keep(malloc(size)); }
SITE void *library_destructor_site(size_t size) {
  void *p = malloc(size + 1);
  __asm__ volatile("" : "+r"(p));
  return p;
}

static __thread int thread_data[5000];
int *library_thread_data(void) { return thread_data; }

__attribute__((constructor)) static void start(void) {
  for (size_t i = 0; i < 9; i++)
    library_constructor_site(i * 1000);
}

__attribute__((destructor)) static void end(void) {
  void *blocks[6];
  for (size_t i = 0; i < 6; i++)
    blocks[i] = library_destructor_site(i * 20000);
  free(blocks[0]);
  free(blocks[5]);
}
