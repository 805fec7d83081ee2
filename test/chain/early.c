// SPDX-License-Identifier: BSD-2-Clause
//
// A library that allocates when it is loaded, before MALLOC9_CONF was looked at: what is found out then must not
// outlive what that says.
#include <stdlib.h>

#define FUNCTION __attribute__((noinline, noclone))

static void *volatile sink;

FUNCTION void *xmalloc(size_t size) { // a wrapper by its name
  void *p = malloc(size);
  sink = p;
  return p;
}

FUNCTION void *make(size_t size) { // none
  void *p = malloc(size);
  sink = p;
  return p;
}

FUNCTION void helper(void) {
  free(xmalloc(100));
  sink = NULL;
}

__attribute__((constructor)) static void early(void) {
  for (int i = 0; i < 3; i++) {
    helper();
    free(make(100));
  }
}
