// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_handled: the program's own SIGABRT handler allocates, frees and returns; the process still ends.
#include "misuse.h"
#include <signal.h>

static void on_abort(int number) {
  (void)number;
  for (size_t size = 1; size < 100000; size += 997)
    free(alloc_here(size));
}

int main(int argc, char **argv) {
  begin(argc, argv);
  void *p = alloc_here(200);
  announce("double free of %p: an item of 224 bytes, last of type @alloc_here", p);
  free(p);
  signal(SIGABRT, on_abort);
  return misuse("free", p);
}
