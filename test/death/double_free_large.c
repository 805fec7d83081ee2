// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_large SIZE: a large block is freed twice.
#include "misuse.h"

int main(int argc, char **argv) {
  begin(argc, argv);
  void *p = alloc_here(size_argument(argc, argv, 1, 1 << 20));
  announce("double free of %p: a large block", p);
  free(p);
  return misuse("free", p);
}
