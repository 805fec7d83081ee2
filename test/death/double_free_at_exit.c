// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_at_exit: an atexit handler frees the item again.
#include "misuse.h"

static void *again;

static void at_exit(void) { misuse("free", again); }

int main(int argc, char **argv) {
  begin(argc, argv);
  again = alloc_here(40);
  announce("double free of %p: an item of 48 bytes, last of type @alloc_here", again);
  free(again);
  atexit(at_exit);
  return calm ? 0 : 3;
}
