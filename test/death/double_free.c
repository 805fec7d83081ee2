// SPDX-License-Identifier: BSD-2-Clause
//
// double_free SIZE CLASS: an item is freed twice.
#include "misuse.h"

int main(int argc, char **argv) {
  begin(argc, argv);
  void *p = alloc_here(size_argument(argc, argv, 1, 64));
  announce("double free of %p: an item of %zu bytes, last of type @alloc_here", p, size_argument(argc, argv, 2, 64));
  free(p);
  return misuse("free", p);
}
