// SPDX-License-Identifier: BSD-2-Clause
//
// stacks CASE: little stack, and signal handlers.
#include "cases.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

SITE void *stacks_site(size_t size);
SITE void *stacks_site(size_t size) { return hide(malloc(size)); }

static unsigned long allocs;

// All classes, some large sizes, every function.
static void use_everything(void) {
  for (size_t size = 1; size < (3u << 20); size += size / 3 + 1) {
    void *p = stacks_site(size), *q = hide(calloc(1, size)), *r = hide(aligned_alloc(256, size));
    allocs++;
    CHECK(p != NULL && q != NULL && r != NULL);
    q = hide(realloc(q, size * 2));
    CHECK(q != NULL);
    free(p);
    free(q);
    free(r);
  }
}

static void *thread_life(void *unused) {
  use_everything();
  return unused;
}

static void small_thread(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, &attributes, thread_life, NULL) == 0);
    pthread_join(thread, NULL);
  }
  printf("stacks_site %lu %lu\n", allocs, allocs);
}

static void on_signal(int number) {
  (void)number;
  int error = errno;
  use_everything();
  errno = error;
}

static void alternate_stack(void) {
  long size = sysconf(_SC_SIGSTKSZ);
  stack_t stack = {.ss_sp = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                   .ss_size = (size_t)size};
  CHECK(sigaltstack(&stack, NULL) == 0);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  for (int i = 0; i < 20; i++)
    raise(SIGUSR1);
  printf("stacks_site %lu %lu\n", allocs, allocs);
}

static unsigned char painted[65536] __attribute__((aligned(64)));
static ucontext_t here, there;
static uintptr_t frame;

SITE void hot(void);
SITE void hot(void) {
  for (int i = 0; i < 20; i++)
    free(stacks_site(64));
}

static void measured(void) {
  frame = (uintptr_t)__builtin_frame_address(0);
  hot();
}

static size_t stack_used(void) {
  memset(painted, 0xa5, sizeof painted);
  getcontext(&there);
  there.uc_stack.ss_sp = painted;
  there.uc_stack.ss_size = sizeof painted;
  there.uc_link = &here;
  makecontext(&there, measured, 0);
  swapcontext(&here, &there);
  const unsigned char *lowest = painted;
  while (*lowest == 0xa5)
    lowest++;
  return frame - (uintptr_t)lowest;
}

static void fast_path(void) {
  for (int i = 0; i < 100; i++)
    hot(); // so that the loader and the slow paths have done their part
  size_t least = SIZE_MAX;
  for (int i = 0; i < 20; i++) {
    size_t used = stack_used();
    least = used < least ? used : least;
  }
  printf("%zu bytes of stack\n", least);
  CHECK(least < 512 + 3 * 16 + 16); // with the frames of hot and stacks_site
}

static volatile sig_atomic_t handler_runs;

static void on_timer(int number) {
  (void)number;
  handler_runs++;
  void *p = hide(malloc(1 + (size_t)(handler_runs * 7919) % 100000));
  CHECK(p != NULL);
  free(p);
}

// Handlers in the middle of slow paths: new classes, large blocks, trims.
static void handlers(void) {
  signal(SIGALRM, on_timer);
  struct itimerval each = {{0, 200}, {0, 200}};
  setitimer(ITIMER_REAL, &each, NULL);
  static void *blocks[5000];
  for (int round = 0; handler_runs < 3000; round++) {
    for (size_t i = 0; i < 5000; i++) {
      blocks[i] = stacks_site(1 + (i * 37 + (size_t)round) % (i % 50 == 0 ? 500000 : 9000));
      allocs++;
      CHECK(blocks[i] != NULL);
    }
    for (size_t i = 0; i < 5000; i++)
      free(blocks[i]);
    if (round % 4 == 0)
      malloc_trim(0);
  }
  signal(SIGALRM, SIG_IGN);
  printf("stacks_site %lu %lu\n", allocs, allocs);
}

int main(int argc, char **argv) {
  static const struct test_case cases[] = {{"small_thread", small_thread},
                                           {"alternate_stack", alternate_stack},
                                           {"fast_path", fast_path},
                                           {"handlers", handlers}};
  return RUN_CASE(argc, argv, cases);
}
