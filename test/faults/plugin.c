// SPDX-License-Identifier: BSD-2-Clause
//
// A library that allocates at the site PLUGIN_SITE; built under several names, the same byte for byte but for that.
#include <malloc.h>
#include <stdlib.h>

#define SITE __attribute__((noinline, visibility("default")))

SITE void *PLUGIN_SITE(size_t size);
SITE void *PLUGIN_SITE(size_t size) {
  void *p = malloc(size);
  __asm__ volatile("" : "+r"(p));
  return p;
}

void *plugin_alloc(size_t size);
void *plugin_alloc(size_t size) { return PLUGIN_SITE(size); }
