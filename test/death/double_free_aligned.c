// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_aligned ALIGNMENT SIZE CLASS: the same with an item from aligned_alloc.
#include "misuse.h"

SITE void *alloc_aligned(size_t alignment, size_t size);
SITE void *alloc_aligned(size_t alignment, size_t size) { return hide(aligned_alloc(alignment, size)); }

int main(int argc, char **argv) {
  begin(argc, argv);
  void *p = alloc_aligned(size_argument(argc, argv, 1, 64), size_argument(argc, argv, 2, 64));
  announce("double free of %p: an item of %zu bytes, last of type @alloc_aligned", p, size_argument(argc, argv, 3, 64));
  free(p);
  return misuse("free", p);
}
