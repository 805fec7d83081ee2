// SPDX-License-Identifier: BSD-2-Clause
//
// The program whose files are kept (make_files.py): types of two call sites and a declared one, small and large blocks,
// a peak that is over, and a child that goes on from its counts. It says each process's id; then the child kills
// itself.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "malloc9.h"

static MALLOC_DEFINE(M_ORDERS, "orders", "what customers want");

__attribute__((noinline, noclone, visibility("default"))) void *small(size_t n) {
  void *p = malloc(n);
  __asm__ volatile("" : "+r"(p));
  return p;
}

__attribute__((noinline, noclone, visibility("default"))) void *large(size_t n) {
  void *p = malloc(n);
  __asm__ volatile("# %1" : "+r"(p) : "i"(1));
  return p;
}

static void child(void) {
  for (int i = 0; i < 1000; i++)
    free(small(48));
  for (int i = 0; i < 7; i++)
    small(3000);
  malloc9(100, M_ORDERS, M_WAITOK);
  raise(SIGKILL); // its file stays as it is
}

int main(void) {
  for (int i = 0; i < 100; i++)
    small(48);
  for (int i = 0; i < 20; i++)
    malloc9(1000, M_ORDERS, M_WAITOK);
  void *held[5];
  for (int i = 0; i < 5; i++)
    held[i] = large(100000 + 50000 * (size_t)i);
  for (int i = 0; i < 4; i++)
    free(held[i]);
  large(70000);
  pid_t pid = fork();
  if (pid == 0)
    child();
  int status = 0;
  waitpid(pid, &status, 0);
  for (int i = 0; i < 10; i++)
    free(small(20));
  char line[64];
  int n = snprintf(line, sizeof line, "%d %d\n", (int)getpid(), (int)pid);
  return write(1, line, (size_t)n) != n || !WIFSIGNALED(status);
}
