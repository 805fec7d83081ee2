// SPDX-License-Identifier: BSD-2-Clause
//
// A small library that allocates when it is loaded. The bench loads many copies of it to see how start-up grows with
// the number of loaded modules.
#include <cstdlib>

namespace {

struct at_start {
  void *items[4];
  at_start() {
    for (size_t i = 0; i < 4; i++)
      items[i] = malloc(16 << i);
  }
  ~at_start() {
    for (void *p : items)
      free(p);
  }
};

at_start loaded;

} // namespace
