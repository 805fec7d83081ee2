// SPDX-License-Identifier: BSD-2-Clause
//
// interior CALL SIZE USABLE OFFSET [thread]: a pointer into the middle of an item, small or large; with `thread` the
// item was allocated by a thread on another CPU.
#include "misuse.h"

static void *alloc_there(void *size) {
  pin((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1);
  return alloc_here((size_t)size);
}

int main(int argc, char **argv) {
  begin(argc, argv);
  const char *call = word_argument(argc, argv, 1, "free");
  size_t size = size_argument(argc, argv, 2, 64);
  size_t offset = size_argument(argc, argv, 4, 8);
  int thread = strcmp(word_argument(argc, argv, 5, ""), "thread") == 0;
  pin(0);
  char *p = thread ? in_thread(alloc_there, (void *)size) : alloc_here(size);
  announce("%s of %p, inside an item: %zu bytes into %p, %zu bytes of type @alloc_here", call, (void *)(p + offset),
           offset, (void *)p, size_argument(argc, argv, 3, 64));
  return misuse(call, p + offset);
}
