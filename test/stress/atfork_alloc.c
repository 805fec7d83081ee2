// SPDX-License-Identifier: BSD-2-Clause
#include "atfork_alloc.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))

struct atfork_alloc_count atfork_alloc_counts[3];

static void *keep(void *p, int number) {
  __asm__ volatile("# %1" : "+r"(p) : "r"(number));
  return p;
}

SITE void *atfork_alloc_prepare(size_t size) { return keep(malloc(size), 0); }
SITE void *atfork_alloc_parent(size_t size) { return keep(malloc(size), 1); }
SITE void *atfork_alloc_child(size_t size) { return keep(malloc(size), 2); }

static void work(void *(*site)(size_t), struct atfork_alloc_count *count) {
  void *blocks[ATFORK_ALLOC_CALLS];
  for (size_t i = 0; i < ATFORK_ALLOC_CALLS; i++) {
    blocks[i] = site(1 + i * i * i * 20); // from 1 byte to a large block
    count->allocs++;
    count->bytes += malloc_usable_size(blocks[i]);
  }
  for (size_t i = 1; i < ATFORK_ALLOC_CALLS; i++) {
    count->frees++;
    count->bytes_freed += malloc_usable_size(blocks[i]);
    free(blocks[i]);
  }
}

static void prepare(void) { work(atfork_alloc_prepare, &atfork_alloc_counts[0]); }
static void parent(void) { work(atfork_alloc_parent, &atfork_alloc_counts[1]); }
static void child(void) { work(atfork_alloc_child, &atfork_alloc_counts[2]); }

__attribute__((constructor)) static void start(void) { pthread_atfork(prepare, parent, child); }
