// SPDX-License-Identifier: BSD-2-Clause
//
// shared_memory_child HOW OPERATIONS: a child that shares the parent's memory (vfork; clone: CLONE_VM|CLONE_VFORK on a
// stack of its own; waited: CLONE_VM, waited for), pinned to the last CPU, allocates and frees beside a thread that
// runs on all CPUs. No item may have two owners. Prints the operations of each call site.
#include "owners.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))

static void *keep(void *p, int number) {
  __asm__ volatile("# %1" : "+r"(p) : "r"(number));
  return p;
}

SITE void *child_site(size_t size);
SITE void *thread_site(size_t size);
SITE void *child_site(size_t size) { return keep(malloc(size), 0); }
SITE void *thread_site(size_t size) { return keep(malloc(size), 1); }

static struct owner child_owner = {.mark = 1, .random = 1}, thread_owner = {.mark = 2, .random = 2};
static volatile int done;
static unsigned long operations;

static void pin(size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static void *beside(void *unused) {
  size_t cpus = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
  for (unsigned long i = 0; !done || i < operations / 4; i++) {
    if (i % 5000 == 0)
      pin(i / 5000 % cpus);
    owner_step(&thread_owner, thread_site, 400);
  }
  owner_finish(&thread_owner);
  return unused;
}

static __attribute__((noinline)) int child_life(void *unused) {
  (void)unused;
  pin((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1);
  for (unsigned long i = 0; i < operations; i++)
    owner_step(&child_owner, child_site, i % 1000 == 0 ? 200000 : 400);
  owner_finish(&child_owner);
  _exit(0);
}

static __attribute__((noinline)) pid_t make_vfork_child(void) {
  pid_t child = vfork();
  if (child == 0)
    child_life(NULL);
  return child;
}

static pid_t make_clone_child(int flags) {
  char *stack = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return clone(child_life, stack + (1 << 20), CLONE_VM | SIGCHLD | flags, NULL);
}

int main(int argc, char **argv) {
  if (argc < 3)
    return 2;
  operations = strtoul(argv[2], NULL, 0);
  pin(0);
  free(child_site(10)); // its PLT entry is resolved in the parent
  pthread_t thread;
  if (pthread_create(&thread, NULL, beside, NULL) != 0)
    return 2;
  pid_t child = strcmp(argv[1], "vfork") == 0   ? make_vfork_child()
                : strcmp(argv[1], "clone") == 0 ? make_clone_child(CLONE_VFORK)
                                                : make_clone_child(0);
  int status = -1;
  if (waitpid(child, &status, 0) != child || status != 0)
    return 3;
  done = 1;
  pthread_join(thread, NULL);
  printf("child_site %lu %lu\nthread_site %lu %lu\nspoiled %lu\n", child_owner.allocs + 1, child_owner.frees + 1,
         thread_owner.allocs, thread_owner.frees, child_owner.spoiled + thread_owner.spoiled);
  return child_owner.spoiled + thread_owner.spoiled == 0 ? 0 : 1;
}
