// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_elsewhere SIZE CLASS: a thread on another CPU frees the item, so that it waits in that CPU's cache.
#include "misuse.h"

static void *free_there(void *p) {
  pin((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1);
  free(p);
  return NULL;
}

int main(int argc, char **argv) {
  begin(argc, argv);
  pin(0);
  void *p = alloc_here(size_argument(argc, argv, 1, 64));
  announce("double free of %p: an item of %zu bytes, last of type @alloc_here", p, size_argument(argc, argv, 2, 64));
  in_thread(free_there, p);
  return misuse("free", p);
}
