// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_in_thread: main frees; a thread on another CPU frees again and is the one that is stopped.
#include "misuse.h"

static void *free_again(void *p) {
  pin((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1);
  misuse("free", p);
  return NULL;
}

int main(int argc, char **argv) {
  begin(argc, argv);
  pin(0);
  void *p = alloc_here(1000);
  announce("double free of %p: an item of 1024 bytes, last of type @alloc_here", p);
  free(p);
  in_thread(free_again, p);
  return calm ? 0 : 3;
}
