// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_late COUNT: so many more items are freed in between that the item has left every cache.
#include "misuse.h"

int main(int argc, char **argv) {
  begin(argc, argv);
  static void *items[200000];
  size_t count = size_argument(argc, argv, 1, 20000);
  for (size_t i = 0; i < count; i++)
    items[i] = alloc_here(96);
  void *p = items[0];
  announce("double free of %p: an item of 96 bytes, last of type @alloc_here", p);
  for (size_t i = 0; i < count; i++)
    free(items[i]);
  return misuse("free", p);
}
