// SPDX-License-Identifier: BSD-2-Clause
#include "core/meta.h"

#include "shim/pages.h"

namespace m9 {

constinit mutex meta_lock(lock_rank::meta); // all below

namespace {
constexpr size_t chunk_size = 256 * 1024, populate_step = 16 * 1024;
uintptr_t chunk_next, chunk_end, chunk_populated;
} // namespace

void *meta_alloc(size_t size) {
  size_t alignment = size >= 64 ? 64 : 16;
  locked_inside guard(meta_lock);
  if (size >= chunk_size / 4)
    return reinterpret_cast<void *>(pages_map((size + 65535) / 65536 * 65536));
  uintptr_t at = (chunk_next + alignment - 1) & ~(alignment - 1);
  if (at + size > chunk_end || chunk_next == 0) {
    uintptr_t chunk = pages_map(chunk_size);
    if (!chunk)
      return nullptr;
    at = chunk_populated = chunk;
    chunk_end = chunk + chunk_size;
  }
  while (chunk_populated < at + size && chunk_populated < chunk_end) {
    pages_populate(chunk_populated, populate_step, true);
    chunk_populated += populate_step;
  }
  chunk_next = at + size;
  return reinterpret_cast<void *>(at);
}

void meta_abandon() { chunk_next = chunk_end = chunk_populated = 0; }

const char *meta_string(const char *s, size_t size) {
  auto *copy = static_cast<char *>(meta_alloc(size + 1));
  if (copy)
    __builtin_memcpy(copy, s, size);
  return copy;
}

} // namespace m9
