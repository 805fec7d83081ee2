// SPDX-License-Identifier: BSD-2-Clause
//
// marks: allocates 100 items, marks itself, 50 more, says so and waits for a line; 25 more, says so and waits again.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "preload/malloc9.h"

#define SITE __attribute__((noinline, noclone, visibility("default")))
SITE void site(int n) {
  for (int i = 0; i < n; i++) {
    void *p = malloc(48);
    __asm__ volatile("" : "+r"(p));
  }
}

static void say(const char *what) {
  char line[8];
  dprintf(1, "%s\n", what);
  if (read(0, line, 1) != 1)
    _exit(4);
}

int main(void) {
  if (malloc9_mark("bad name") != -1 || malloc9_mark("../up") != -1 || malloc9_mark("") != -1)
    return 5;
  site(100);
  if (malloc9_mark("warm") != 0)
    return 6;
  site(50);
  say("first");
  site(25);
  say("second");
  return 0;
}
