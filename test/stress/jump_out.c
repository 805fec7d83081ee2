// SPDX-License-Identifier: BSD-2-Clause
//
// jump_out JUMPS: a timer's handler leaves malloc, free and realloc at any instruction by siglongjmp, so often. An
// interrupted call may lose its item; all others go on as before: no hang, no item with two owners, no crash.
#include "owners.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))

SITE void *jump_site(size_t size);
SITE void *jump_site(size_t size) {
  void *p = malloc(size);
  __asm__ volatile("" : "+r"(p));
  return p;
}

static sigjmp_buf start;
static volatile sig_atomic_t armed, jumps;
static uint64_t *volatile items[256];
static uint64_t random_state = 1, spoiled, next_mark;

static uint32_t draw(void) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(random_state >> 33);
}

static void on_timer(int number) {
  (void)number;
  free(jump_site(50));
  if (armed) {
    armed = 0;
    jumps++;
    siglongjmp(start, 1);
  }
}

// The slot is empty while its item is inside a call, so an interrupted call leaks at most that item.
static void step(void) {
  uint32_t slot = draw() % 256;
  size_t size = draw() % 20 == 0 ? 16 + draw() % 300000 : 16 + draw() % 2000;
  uint64_t *p = items[slot];
  items[slot] = NULL;
  if (p != NULL && p[0] != ((uintptr_t)p ^ p[1]))
    spoiled++;
  if (p != NULL && draw() % 3 != 0) {
    free(p);
    return;
  }
  p = p != NULL ? realloc(p, size) : jump_site(size);
  if (p == NULL) {
    spoiled++;
    return;
  }
  p[1] = ++next_mark;
  p[0] = (uintptr_t)p ^ p[1];
  items[slot] = p;
}

int main(int argc, char **argv) {
  int wanted = argc > 1 ? atoi(argv[1]) : 2000;
  signal(SIGALRM, on_timer);
  struct itimerval each = {{0, 300}, {0, 300}};
  sigsetjmp(start, 1);
  setitimer(ITIMER_REAL, &each, NULL);
  while (jumps < wanted) {
    for (uint32_t i = draw() % 100; i > 0; i--) {
      armed = 1;
      step();
      armed = 0;
    }
  }
  struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  for (int i = 0; i < 256; i++)
    free(items[i]);
  printf("jumps %d\nspoiled %lu\n", (int)jumps, spoiled);
  return spoiled == 0 ? 0 : 1;
}
