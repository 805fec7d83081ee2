// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_retyped: the item belonged to one call site, then to another: the later one is named. On one CPU, as no
// other has the freed item in its cache.
#include "misuse.h"

SITE void *alloc_later(size_t size);
SITE void *alloc_later(size_t size) { return hide(malloc(size)); }

int main(int argc, char **argv) {
  begin(argc, argv);
  static void *held[100000];
  pin((size_t)sched_getcpu());
  void *p = alloc_here(5000);
  free(p);
  size_t i = 0;
  do
    held[i] = alloc_later(5000);
  while (held[i] != p && ++i < 100000);
  if (i == 100000)
    return 3;
  announce("double free of %p: an item of 5120 bytes, last of type @alloc_later", p);
  free(hide(p));
  return misuse("free", p);
}
