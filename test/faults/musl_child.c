// SPDX-License-Identifier: BSD-2-Clause
//
// Linked with musl: threads and a child allocate, each a known number of times.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { turns = 100000, threads = 4 };

static void *work(void *unused) {
  for (int i = 0; i < turns; i++)
    free(malloc((size_t)(i % 3000)));
  return unused;
}

int main(void) {
  pthread_t all[threads];
  for (int i = 0; i < threads; i++)
    pthread_create(&all[i], NULL, work, NULL);
  for (int i = 0; i < threads; i++)
    pthread_join(all[i], NULL);
  pid_t child = fork();
  if (child == 0) {
    work(NULL);
    exit(0);
  }
  int status = 1;
  waitpid(child, &status, 0);
  char line[100];
  int n = snprintf(line, sizeof line, "musl child: %d, its child: %d\n", threads * turns, status == 0 ? turns : 0);
  return write(1, line, (size_t)n) != n;
}
