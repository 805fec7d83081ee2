// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_in_handler: a signal handler frees the item again.
#include "misuse.h"
#include <signal.h>

static void *again;

static void on_signal(int number) {
  (void)number;
  misuse("free", again);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  again = alloc_here(300);
  announce("double free of %p: an item of 320 bytes, last of type @alloc_here", again);
  free(again);
  signal(SIGUSR1, on_signal);
  raise(SIGUSR1);
  return calm ? 0 : 3;
}
