// SPDX-License-Identifier: BSD-2-Clause
//
// holder N: holds N items of 100 bytes until its standard input ends.
#include <stdio.h>
#include <stdlib.h>

void *volatile sink;

__attribute__((noinline)) void hold(long items) {
  for (long i = 0; i < items; i++) {
    void *item = malloc(100);
    sink = item;
  }
}

int main(int argc, char **argv) {
  hold(argc > 1 ? atol(argv[1]) : 0);
  puts("holding");
  fflush(stdout);
  while (getchar() != EOF)
    ;
  return 0;
}
