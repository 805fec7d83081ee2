// SPDX-License-Identifier: BSD-2-Clause
//
// peak: its live bytes rise and fall at random, in small items and large blocks; prints the most that it held.
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum { places = 20000 };
static void *items[places];

int main(int argc, char **argv) {
  unsigned long random = argc > 1 ? strtoul(argv[1], NULL, 10) : 1, live = 0, most = 0;
  for (int i = 0; i < 400000; i++) {
    random = random * 6364136223846793005UL + 1442695040888963407UL;
    unsigned long choice = random >> 33, place = choice % places;
    unsigned long wave = (unsigned long)(i / 100000) % 2 ? 3 : 1; // fewer are kept in every other quarter
    if (items[place]) {
      live -= malloc_usable_size(items[place]);
      free(items[place]);
      items[place] = NULL;
    }
    if (choice / places % wave == 0) {
      items[place] = malloc(choice % 1999 == 0 ? 70000 + choice % 900000 : choice % 700);
      live += malloc_usable_size(items[place]);
      most = live > most ? live : most;
    }
  }
  printf("%lu\n", most);
  return 0;
}
