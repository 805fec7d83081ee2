// SPDX-License-Identifier: BSD-2-Clause
//
// A library whose fork handlers allocate; its constructor runs before any of the preloaded library's handlers can be
// registered last. Each function allocates `atfork_alloc_calls` blocks at a call site of its own and frees all but one.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATFORK_ALLOC_CALLS 20

struct atfork_alloc_count {
  unsigned long allocs, frees, bytes, bytes_freed;
};
extern struct atfork_alloc_count atfork_alloc_counts[3]; // prepare, parent, child

void *atfork_alloc_prepare(size_t size);
void *atfork_alloc_parent(size_t size);
void *atfork_alloc_child(size_t size);

#ifdef __cplusplus
}
#endif
