// SPDX-License-Identifier: BSD-2-Clause
//
// clone_storm CHILDREN [THREADS]: THREADS threads (6) make their heaps grow and shrink, all sizes, while the first one
// makes children by the bare system call, which runs no fork handler: what any thread was doing is cut off wherever it
// was. Each child allocates and frees all sizes, too, checks that no item has two owners and ends.
// Prints the parent's operations at its call site.
#include "owners.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))

SITE void *storm_site(size_t size);
SITE void *storm_site(size_t size) {
  void *p = malloc(size);
  __asm__ volatile("" : "+r"(p));
  return p;
}

enum { threads_most = 64, owners_each = 4 };
static struct owner owners[threads_most * owners_each];
static atomic_int working;

// Of all sizes of the zones, and some beyond.
static size_t draw_limit(struct owner *me) { return (size_t)16 << (owner_draw(me) % 13); }

// From a few items to many and back, in an order that slabs do not have.
static void grow_and_shrink(struct owner *mine) {
  for (int step = 0; step < owners_each * owner_slots * 2; step++) {
    struct owner *one = &mine[owner_draw(mine) % owners_each];
    owner_step(one, storm_site, draw_limit(one));
  }
  for (int i = 0; i < owners_each; i++)
    owner_finish(&mine[i]);
}

static void *work(void *argument) {
  struct owner *mine = argument;
  for (int round = 0; atomic_load(&working); round++) {
    grow_and_shrink(mine);
    if (round % 8 == 0)
      malloc_trim(0);
  }
  return NULL;
}

static uint64_t spoiled_in_all(void) {
  uint64_t spoiled = 0;
  for (size_t i = 0; i < threads_most * owners_each; i++)
    spoiled += owners[i].spoiled;
  return spoiled;
}

static void child_life(struct owner *mine) {
  alarm(60);
  uint64_t before = spoiled_in_all();
  grow_and_shrink(mine);
  exit(spoiled_in_all() == before ? 0 : 5);
}

int main(int argc, char **argv) {
  int children = argc > 1 ? atoi(argv[1]) : 300, good = 0;
  size_t threads = argc > 2 ? strtoul(argv[2], NULL, 0) : 6;
  pthread_t ids[threads_most];
  for (size_t i = 0; i < threads_most * owners_each; i++)
    owners[i].mark = owners[i].random = i + 1;
  atomic_store(&working, 1);
  for (size_t i = 1; i < threads; i++)
    if (pthread_create(&ids[i], NULL, work, &owners[i * owners_each]) != 0)
      return 2;
  for (int i = 0; i < children; i++) {
    for (int j = 0; j < 30; j++)
      owner_step(owners, storm_site, draw_limit(owners));
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
      child_life(owners);
    int status = -1;
    waitpid((pid_t)child, &status, 0);
    good += status == 0;
    if (status != 0)
      fprintf(stderr, "child %d ended with status %#x\n", i, (unsigned)status);
  }
  atomic_store(&working, 0);
  for (size_t i = 1; i < threads; i++)
    pthread_join(ids[i], NULL);
  owner_finish(owners);
  uint64_t allocs = 0, frees = 0;
  for (size_t i = 0; i < threads_most * owners_each; i++) {
    allocs += owners[i].allocs;
    frees += owners[i].frees;
  }
  printf("storm_site %lu %lu\nspoiled %lu\nchildren %d\n", allocs, frees, spoiled_in_all(), good);
  return spoiled_in_all() == 0 && good == children ? 0 : 1;
}
