// SPDX-License-Identifier: BSD-2-Clause
//
// many_threads THREADS: so many threads are started and ended, 16 at a time; each allocates, leaves one item to its
// successor and frees the rest. Prints the operations and the growth of RSS in KiB after the first tenth.
#include "owners.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))

SITE void *thread_site(size_t size);
SITE void *thread_site(size_t size) {
  void *p = malloc(size);
  __asm__ volatile("" : "+r"(p));
  return p;
}

enum { batch = 16 };
static struct owner owners[batch];

static long rss_kib(void) {
  char text[200] = "";
  int fd = open("/proc/self/statm", O_RDONLY);
  if (read(fd, text, sizeof text - 1) <= 0)
    return -1;
  close(fd);
  long size = 0, resident = 0;
  sscanf(text, "%ld %ld", &size, &resident);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *life(void *argument) {
  struct owner *me = argument;
  for (int i = 0; i < 300; i++)
    owner_step(me, thread_site, i % 50 == 0 ? 100000 : 3000);
  for (uint32_t slot = 1; slot < owner_slots; slot++)
    if (me->items[slot] != NULL)
      owner_release(me, slot);
  return NULL;
}

int main(int argc, char **argv) {
  int rounds = (argc > 1 ? atoi(argv[1]) : 10000) / batch;
  long early = 0;
  for (size_t i = 0; i < batch; i++)
    owners[i].mark = owners[i].random = i + 1;
  for (int round = 0; round < rounds; round++) {
    pthread_t ids[batch];
    for (size_t i = 0; i < batch; i++)
      if (pthread_create(&ids[i], NULL, life, &owners[i]) != 0)
        return 2;
    for (size_t i = 0; i < batch; i++)
      pthread_join(ids[i], NULL);
    if (round == rounds / 10)
      early = rss_kib();
  }
  long growth = rss_kib() - early;
  uint64_t allocs = 0, frees = 0, spoiled = 0;
  for (size_t i = 0; i < batch; i++) {
    owner_finish(&owners[i]);
    allocs += owners[i].allocs;
    frees += owners[i].frees;
    spoiled += owners[i].spoiled;
  }
  printf("thread_site %lu %lu\nspoiled %lu\ngrowth %ld\n", allocs, frees, spoiled, growth);
  return spoiled == 0 ? 0 : 1;
}
