// SPDX-License-Identifier: BSD-2-Clause
//
// never_allocated CALL SIZE DISTANCE [below]: an item that was never handed out, DISTANCE bytes from the only one of
// its size.
#include "misuse.h"

int main(int argc, char **argv) {
  begin(argc, argv);
  const char *call = word_argument(argc, argv, 1, "free");
  size_t size = size_argument(argc, argv, 2, 40960);
  char *p = alloc_here(size);
  size_t distance = size_argument(argc, argv, 3, size);
  p = strcmp(word_argument(argc, argv, 4, "above"), "below") == 0 ? p - distance : p + distance;
  announce("%s of %p, which was never allocated: an item of %zu bytes", call, (void *)p, size);
  return misuse(call, p);
}
