// SPDX-License-Identifier: BSD-2-Clause
//
// race TRIES: so many children in each of which two threads on two CPUs free the same item at the same moment, after
// warming both CPUs' caches. Prints how many were caught, that is: ended by SIGABRT.
#include "misuse.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

static _Atomic int arrived;
static void *shared;

static void warm(void) {
  void *items[256];
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < 256; i++)
      items[i] = alloc_here(64);
    for (int i = 0; i < 256; i++)
      free(items[i]);
  }
}

static void meet_and_free(void) {
  atomic_fetch_add(&arrived, 1);
  while (atomic_load(&arrived) < 2) {
  }
  free(shared);
}

static void *other(void *unused) {
  pin(1);
  warm();
  meet_and_free();
  return unused;
}

static void race(void) {
  pthread_t thread;
  pin(0);
  warm();
  shared = alloc_here(64);
  if (pthread_create(&thread, NULL, other, NULL) != 0)
    _exit(4);
  meet_and_free();
  pthread_join(thread, NULL);
  _exit(0);
}

int main(int argc, char **argv) {
  size_t tries = size_argument(argc, argv, 1, 3000), caught = 0, other_ends = 0;
  free(alloc_here(64));
  for (size_t i = 0; i < tries; i++) {
    pid_t child = fork();
    if (child == 0)
      race();
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
      caught++;
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      other_ends++;
  }
  printf("caught %zu of %zu, other ends %zu\n", caught, tries, other_ends);
  return 0;
}
