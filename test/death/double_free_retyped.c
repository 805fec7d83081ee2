// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_retyped: the item belonged to one call site, then to another: the later one is named.
#include "misuse.h"

SITE void *alloc_later(size_t size);
SITE void *alloc_later(size_t size) { return hide(malloc(size)); }

int main(int argc, char **argv) {
  begin(argc, argv);
  static void *held[100000];
  void *p = alloc_here(5000);
  free(p);
  for (size_t i = 0; i < 100000 && (i == 0 || held[i - 1] != p); i++)
    held[i] = alloc_later(5000);
  announce("double free of %p: an item of 5120 bytes, last of type @alloc_later", p);
  free(hide(p));
  return misuse("free", p);
}
