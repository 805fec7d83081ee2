// SPDX-License-Identifier: BSD-2-Clause
//
// secure: says whether it runs in secure execution, and allocates. Linked with the library by the test, as a preload of
// a path is ignored there.
#include "cases.h"

#include <dlfcn.h>
#include <sys/auxv.h>

int main(void) {
  Dl_info info;
  CHECK(dladdr((void *)(uintptr_t)&malloc, &info) != 0);
  for (size_t i = 0; i < 1000; i++)
    free(hide(malloc(i * 100)));
  printf("secure %lu, malloc in %s\n", getauxval(AT_SECURE), info.dli_fname);
  return 0;
}
