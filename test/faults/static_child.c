// SPDX-License-Identifier: BSD-2-Clause
//
// A static program: it has a malloc of its own and runs unharmed as a child of a preloaded one.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  char *p = malloc(100);
  snprintf(p, 100, "static child");
  puts(p);
  free(p);
  return 0;
}
