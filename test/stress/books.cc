// SPDX-License-Identifier: BSD-2-Clause
#include "books.h"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

namespace books {

totals counts[max_contexts][max_sites];
uint64_t failures;

void fail(const char *what, uint64_t value) {
  __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
  char line[200];
  int size = snprintf(line, sizeof line, "expectation failed: %s (%#lx)\n", what, static_cast<unsigned long>(value));
  if (write(2, line, static_cast<size_t>(size)) != size)
    _exit(9);
}

namespace {

constexpr size_t end_size = 64; // bytes at each end that carry the pattern

unsigned char pattern(uint32_t seed, size_t at) {
  return static_cast<unsigned char>((seed * 2654435761u + static_cast<uint32_t>(at) * 40503u) >> 11);
}

void fill(unsigned char *data, size_t from, size_t to, uint32_t seed) {
  for (size_t i = from; i < to; i++)
    data[i] = pattern(seed, i);
}

bool matches(const unsigned char *data, size_t from, size_t to, uint32_t seed) {
  for (size_t i = from; i < to; i++)
    if (data[i] != pattern(seed, i))
      return false;
  return true;
}

item hold(uint32_t site, void *data, size_t size, size_t usable, uint32_t seed) {
  auto *bytes = static_cast<unsigned char *>(data);
  if (size <= 2 * end_size) {
    fill(bytes, 0, size, seed);
  } else {
    fill(bytes, 0, end_size, seed);
    fill(bytes, size - end_size, size, seed);
  }
  return {bytes, size, usable, site, seed};
}

} // namespace

void check_pattern(const item &held, size_t size) {
  bool good = held.size <= 2 * end_size
                  ? matches(held.data, 0, size < held.size ? size : held.size, held.seed)
                  : matches(held.data, 0, size < end_size ? size : end_size, held.seed) &&
                        (size < held.size || matches(held.data, held.size - end_size, held.size, held.seed));
  if (!good)
    fail("the block's contents are not what was written", reinterpret_cast<uintptr_t>(held.data));
}

item note_alloc(uint32_t context, uint32_t site, void *data, size_t size, uint32_t seed) {
  if (data == nullptr) {
    fail("no block of size", size);
    return {};
  }
  size_t usable = malloc_usable_size(data);
  if (usable < size)
    fail("usable size below the size asked for", size);
  if (reinterpret_cast<uintptr_t>(data) % 16 != 0)
    fail("not aligned to 16", reinterpret_cast<uintptr_t>(data));
  counts[context][site].allocs++;
  counts[context][site].bytes += usable;
  return hold(site, data, size, usable, seed);
}

void note_free(uint32_t context, const item &held) {
  check_pattern(held, held.size);
  if (malloc_usable_size(held.data) != held.usable)
    fail("usable size changed", reinterpret_cast<uintptr_t>(held.data));
  counts[context][held.site].frees++;
  counts[context][held.site].bytes_freed += held.usable;
}

item note_realloc(uint32_t context, uint32_t site, const item &old, void *data, size_t size, uint32_t seed) {
  if (data == nullptr) {
    fail("no block from realloc", size);
    return old;
  }
  size_t usable = malloc_usable_size(data);
  item moved = old;
  moved.data = static_cast<unsigned char *>(data);
  check_pattern(moved, size < old.size ? size : old.size);
  if (data == old.data) {
    totals &owner = counts[context][old.site];
    if (usable > old.usable)
      owner.bytes += usable - old.usable;
    else
      owner.bytes_freed += old.usable - usable;
    return hold(old.site, data, size, usable, seed);
  }
  counts[context][site].allocs++;
  counts[context][site].bytes += usable;
  counts[context][old.site].frees++;
  counts[context][old.site].bytes_freed += old.usable;
  return hold(site, data, size, usable, seed);
}

void check_zero(const void *data, size_t size) {
  static const char zeros[4096] = {};
  const auto *bytes = static_cast<const char *>(data);
  size_t end = size < sizeof zeros ? size : sizeof zeros;
  if (data != nullptr && (memcmp(bytes, zeros, end) != 0 || memcmp(bytes + size - end, zeros, end) != 0))
    fail("calloc's block is not zero", reinterpret_cast<uintptr_t>(data));
}

void write_file(const char *path, const char *how, const char *const *site_names, uint32_t sites) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  dprintf(fd, "{\"failures\": %lu, \"how\": \"%s\", \"sites\": {", static_cast<unsigned long>(failures), how);
  for (uint32_t site = 0; site < sites; site++) {
    totals sum = {};
    for (auto &context : counts) {
      sum.allocs += context[site].allocs;
      sum.frees += context[site].frees;
      sum.bytes += context[site].bytes;
      sum.bytes_freed += context[site].bytes_freed;
    }
    dprintf(fd, "%s\n\"%s\": [%lu, %lu, %lu, %lu]", site == 0 ? "" : ",", site_names[site], sum.allocs, sum.frees,
            sum.bytes, sum.bytes_freed);
  }
  dprintf(fd, "}}\n");
  close(fd);
}

} // namespace books
