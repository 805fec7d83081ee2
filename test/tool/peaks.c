// SPDX-License-Identifier: BSD-2-Clause
//
// peaks together|apart: two functions take 10 MiB each, at the same time or one after the other; nothing is left.
#include <stdlib.h>
#include <string.h>

enum { blocks = 1024, size = 10240 };
static void *first[blocks], *second[blocks];

__attribute__((noinline)) void first_take(int i) { first[i] = calloc(1, size); }
__attribute__((noinline)) void second_take(int i) { second[i] = calloc(1, size); }

static void give_back(void **all) {
  for (int i = 0; i < blocks; i++)
    free(all[i]);
}

int main(int argc, char **argv) {
  char *volatile other = malloc(16);
  int together = argc > 1 && strcmp(argv[1], "together") == 0;
  for (int i = 0; i < blocks; i++)
    first_take(i);
  if (!together)
    give_back(first);
  for (int i = 0; i < blocks; i++)
    second_take(i);
  give_back(second);
  if (together)
    give_back(first);
  free(other);
  return 0;
}
