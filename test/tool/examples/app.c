// SPDX-License-Identifier: BSD-2-Clause
//
// The program of the examples: serves a hundred requests. With -DFORGET it forgets to free every tenth.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
  char *body;
  size_t size;
};

struct request *request_new(size_t size) {
  struct request *request = malloc(sizeof *request);
  if (!request || !(request->body = malloc(size)))
    abort();
  memset(request->body, 'x', size);
  request->size = size;
  return request;
}

void request_done(struct request *request) {
  free(request->body);
  free(request);
}

int main(void) {
  size_t served = 0;
  for (int i = 0; i < 100; i++) {
    struct request *request = request_new(1000);
    served += request->size;
#ifdef FORGET
    if (i % 10 == 0)
      continue;
#endif
    request_done(request);
  }
  printf("served %zu bytes\n", served);
  return 0;
}
