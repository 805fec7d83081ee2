// SPDX-License-Identifier: BSD-2-Clause
//
// Functions that allocate by wrappers one step below, each a known number of times.
#include <alloca.h>
#include <stdlib.h>

#define FUNCTION __attribute__((noinline, noclone))

void *xmalloc(size_t size);
void *make(size_t size);
void helper(void);

static void *volatile sink;
static volatile char read;

// A second step, to where no walk is kept.
FUNCTION void *xcalloc(size_t size) {
  volatile char frame[2040];
  frame[0] = 1;
  void *p = xmalloc(size);
  sink = p;
  read = frame[0];
  return p;
}
FUNCTION void two_up(void) {
  free(xcalloc(100));
  sink = NULL;
}

FUNCTION void one_up(void) {
  free(xmalloc(100));
  sink = NULL;
}
// Leaves one_up's return addresses all over the stack that one_up_large then has for a frame.
FUNCTION void one_up_deeper(size_t bytes) {
  volatile char *frame = alloca(bytes);
  frame[0] = 1;
  one_up();
  read = frame[0];
}
FUNCTION void one_up_large(void) {
  volatile char frame[8000];
  frame[0] = 1;
  free(xmalloc(100));
  sink = NULL;
  read = frame[0];
}

FUNCTION void made(void) {
  free(make(100));
  sink = NULL;
}

// Where pages begin is another matter each time.
FUNCTION void all(size_t offset) {
  volatile char *frame = alloca(offset);
  frame[0] = 1;
  for (int i = 0; i < 3; i++) {
    one_up();
    one_up_large();
    two_up();
  }
  for (size_t bytes = 16; bytes < 8000; bytes += 16) { // 499 times
    one_up_deeper(bytes);
    for (int i = 0; i < 5; i++)
      one_up_large();
  }
  read = frame[0];
}

int main(void) {
  for (int i = 0; i < 100; i++) {
    helper();
    made();
  }
  for (size_t offset = 16; offset < 4096; offset += 1024)
    all(offset);
}
