// SPDX-License-Identifier: BSD-2-Clause
//
// double_delete: operator delete twice.
extern "C" {
#include "misuse.h"
}

extern "C" SITE void *new_here(size_t size);
void *new_here(size_t size) { return hide(::operator new(size)); }

int main(int argc, char **argv) {
  begin(argc, argv);
  void *p = new_here(500);
  announce("double free of %p: an item of 512 bytes, last of type @new_here", p);
  ::operator delete(p);
  if (calm)
    return 0;
  ::operator delete(hide(p));
  return 3;
}
