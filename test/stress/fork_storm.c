// SPDX-License-Identifier: BSD-2-Clause
//
// fork_storm FORKS [THREADS]: THREADS threads (64) allocate and free while four of them fork; each child allocates in
// two threads of its own, checks what it took over and ends. A child that hangs is ended by its alarm and is a failure.
// Prints the parent's operations at its call site.
#include "owners.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))

SITE void *storm_site(size_t size);
SITE void *storm_site(size_t size) {
  void *p = malloc(size);
  __asm__ volatile("" : "+r"(p));
  return p;
}

enum { forkers = 4, max_threads = 256 };
static struct owner owners[max_threads + 2];
static atomic_int forking = forkers, bad_children, good_children;
static int forks_each;

static void *child_thread(void *argument) {
  struct owner *me = argument;
  for (int i = 0; i < 3000; i++)
    owner_step(me, storm_site, i % 100 == 0 ? 300000 : 2000);
  owner_finish(me);
  return NULL;
}

static void child_life(struct owner *forker) {
  alarm(60);
  pthread_t thread;
  if (pthread_create(&thread, NULL, child_thread, &owners[max_threads]) != 0)
    _exit(4);
  owner_finish(forker); // gives back what it took over
  child_thread(&owners[max_threads + 1]);
  pthread_join(thread, NULL);
  uint64_t spoiled = forker->spoiled + owners[max_threads].spoiled + owners[max_threads + 1].spoiled;
  exit(spoiled == 0 ? 0 : 5);
}

static void make_child(struct owner *me) {
  pid_t child = fork();
  if (child == 0)
    child_life(me);
  int status = -1;
  waitpid(child, &status, 0);
  atomic_fetch_add(status == 0 ? &good_children : &bad_children, 1);
  if (status != 0)
    fprintf(stderr, "child ended with status %#x\n", (unsigned)status);
}

static void *work(void *argument) {
  struct owner *me = argument;
  int forker = me - owners < forkers;
  for (int i = 0; forker ? i < forks_each : atomic_load(&forking) > 0; i++) {
    for (int j = 0; j < 200; j++)
      owner_step(me, storm_site, j == 0 ? 100000 : 1000);
    if (forker)
      make_child(me);
  }
  if (forker)
    atomic_fetch_sub(&forking, 1);
  owner_finish(me);
  return NULL;
}

int main(int argc, char **argv) {
  size_t threads = argc > 2 ? strtoul(argv[2], NULL, 0) : 64;
  forks_each = argc > 1 ? atoi(argv[1]) / forkers : 50;
  static pthread_t ids[max_threads];
  for (size_t i = 0; i < max_threads + 2; i++)
    owners[i].mark = owners[i].random = i + 1;
  for (size_t i = 0; i < threads; i++)
    if (pthread_create(&ids[i], NULL, work, &owners[i]) != 0)
      return 2;
  uint64_t allocs = 0, frees = 0, spoiled = 0;
  for (size_t i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    allocs += owners[i].allocs;
    frees += owners[i].frees;
    spoiled += owners[i].spoiled;
  }
  printf("storm_site %lu %lu\nspoiled %lu\nchildren %d\n", allocs, frees, spoiled, good_children);
  return spoiled == 0 && bad_children == 0 && good_children == forks_each * forkers ? 0 : 1;
}
