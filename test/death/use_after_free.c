// SPDX-License-Identifier: BSD-2-Clause
//
// use_after_free CALL: realloc or malloc_usable_size of an item that was freed.
#include "misuse.h"

int main(int argc, char **argv) {
  begin(argc, argv);
  const char *call = word_argument(argc, argv, 1, "realloc");
  void *p = alloc_here(64);
  announce("%s of %p after free: an item of 64 bytes, last of type @alloc_here", call, p);
  free(p);
  return misuse(call, p);
}
