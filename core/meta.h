// SPDX-License-Identifier: BSD-2-Clause
//
// Memory for our own records: cut from chunks of pages, zeroed, never given back. It lies in mappings of its own, so
// no overflow from an item reaches it by running on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shim/lock.h"

namespace m9 {

extern mutex meta_lock;

// Zeroed, aligned to 16 (to 64 from 64 bytes on); nullptr when there is no memory. Signals are blocked by the caller.
void *meta_alloc(size_t size);
template <class T> T *meta_new() { return static_cast<T *>(meta_alloc(sizeof(T))); }
// After a fork that left the lock to a thread that does not exist here: begins a new chunk.
void meta_abandon();
// A terminated copy.
const char *meta_string(const char *s, size_t size);

} // namespace m9
