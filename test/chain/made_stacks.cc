// SPDX-License-Identifier: BSD-2-Clause
//
// The stacks of the hand-made program: alternate ones for signals, threads, coroutines and stacks of nobody, all with
// pages that cannot be read right above and below.
#include "made.h"

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

namespace {
constexpr size_t page = 4096, stack_size = 16384;
ucontext_t coroutine, main_context;

char *stack_make() {
  auto *base = static_cast<char *>(
      mmap(nullptr, stack_size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (base == MAP_FAILED || mprotect(base + page, stack_size, PROT_READ | PROT_WRITE) != 0)
    abort();
  return base + page;
}
} // namespace

extern "C" {

NOINLINE void want_signal(int) {
  keep(xmalloc(10));
  keep(array_malloc(11));
  keep(xstrdup("signal"));
  count(__func__, 3);
}

// Below it are the tables' lies, and right above it the stack ends.
NOINLINE void want_liars(void *end) {
  auto top = reinterpret_cast<uintptr_t>(end);
  keep(liar_far_malloc(20));
  count_either(__func__, "liar_far_malloc", 1);
  keep(liar_near_malloc(21));
  count_either(__func__, "liar_near_malloc", 1);
  uintptr_t values[] = {0,
                        1,
                        4096,
                        page * 2 + 3,
                        top - 16,
                        top - 8,
                        top,
                        top + 8,
                        top + 4000,
                        top - 16 - 1,
                        UINTPTR_MAX,
                        SIZE_MAX - 15,
                        uintptr_t{1} << 63,
                        (uintptr_t{1} << 47) - 16,
                        top - stack_size - page,
                        reinterpret_cast<uintptr_t>(&want_signal)};
  for (uintptr_t value : values) {
    keep(liar_rbp_malloc(22, value));
    count_either(__func__, "liar_rbp_malloc", 1);
    keep(nocfi_register_user(23, value));
    count("nocfi_register_user", 1);
  }
  keep(liar_saved_malloc(24));
  count_either(__func__, "liar_saved_malloc", 1);
}

NOINLINE void want_coroutine() {
  for (int i = 0; i < 5; i++) {
    keep(xmalloc(30));
    keep(alloca_malloc(31));
    keep(deep7_malloc(32));
    count(__func__, 3);
    raise(SIGUSR1);
    swapcontext(&coroutine, &main_context);
  }
}

NOINLINE void want_own_stack(void *) {
  keep(xmalloc(40));
  keep(array_malloc(41));
  keep(xcalloc(4, 42));
  count(__func__, 3);
}

NOINLINE void want_wide(void *) {
  keep(wide_frame_malloc(60));
  count(__func__, 1);
}

// What could be read above a frame cannot be read any more, above a later frame at the same place.
NOINLINE void shrinking_stack() {
  char *bottom = stack_make(), *middle = bottom + stack_size / 2;
  on_stack(bottom + stack_size, want_wide, nullptr);
  if (mprotect(middle, stack_size / 2, PROT_NONE) != 0)
    abort();
  on_stack(middle, want_liars, middle);
  munmap(bottom, stack_size);
}

NOINLINE void *want_thread(void *) {
  for (int i = 0; i < 100; i++) {
    keep(xmalloc(50));
    keep(xrealloc(nullptr, 51));
    keep(alloca_malloc(52));
    count(__func__, 3);
  }
  return nullptr;
}

NOINLINE void stacks() {
  shrinking_stack(); // first, as a function is judged by its first call
  stack_t alternate = {stack_make(), 0, stack_size};
  if (sigaltstack(&alternate, nullptr) != 0)
    abort();
  struct sigaction action = {};
  action.sa_handler = want_signal;
  action.sa_flags = SA_ONSTACK;
  if (sigaction(SIGUSR1, &action, nullptr) != 0)
    abort();
  for (int i = 0; i < 10; i++)
    raise(SIGUSR1);
  for (int i = 0; i < 3; i++) {
    if (getcontext(&coroutine) != 0)
      abort();
    char *bottom = stack_make();
    coroutine.uc_stack = {bottom, 0, stack_size};
    coroutine.uc_link = &main_context;
    makecontext(&coroutine, want_coroutine, 0);
    for (int turn = 0; turn < 6; turn++)
      swapcontext(&main_context, &coroutine);
    munmap(bottom, stack_size);
  }
  for (int i = 0; i < 3; i++) {
    char *end = stack_make() + stack_size;
    on_stack(end, want_own_stack, nullptr);
    on_stack(end, want_liars, end);
    munmap(end - stack_size, stack_size);
  }
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t threads[6];
  for (int i = 0; i < 6; i++) {
    if (i < 3 ? pthread_attr_setstack(&attributes, stack_make(), stack_size)
              : pthread_attr_setstacksize(&attributes, 32768))
      abort();
    if (pthread_create(&threads[i], i < 3 ? &attributes : nullptr, want_thread, nullptr) != 0)
      abort();
  }
  for (pthread_t thread : threads)
    pthread_join(thread, nullptr);
}
}
