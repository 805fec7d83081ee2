// SPDX-License-Identifier: BSD-2-Clause
#include "sites.h"

#include "atfork_alloc.h"
#include "books.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <new>
#include <utility>

// Outside any namespace, to keep their names short. The number in the assembly keeps equal functions apart, and the
// pointer's way through it keeps the call from becoming a jump.
#define SITE template <uint32_t N> [[gnu::noinline, gnu::visibility("default")]] void *
#define KEEP(p) asm volatile("# site %c1" : "+r"(p) : "i"(N))

SITE site_malloc(size_t size) {
  void *p = malloc(size);
  KEEP(p);
  return p;
}

SITE site_calloc(size_t size) {
  void *p = calloc(1, size);
  KEEP(p);
  return p;
}

SITE site_calloc_many(size_t size) {
  size_t each = size % 8 == 0 ? 8 : 1;
  void *p = calloc(size / each, each);
  KEEP(p);
  return p;
}

SITE site_aligned_alloc(size_t size) {
  void *p = aligned_alloc(size_t{16} << (size % 9), size);
  KEEP(p);
  return p;
}

SITE site_memalign(size_t size) {
  void *p = memalign(size_t{8} << (size % 13), size);
  KEEP(p);
  return p;
}

SITE site_posix_memalign(size_t size) {
  void *p = nullptr;
  if (posix_memalign(&p, size_t{64} << (size % 3), size) != 0)
    p = nullptr;
  KEEP(p);
  return p;
}

SITE site_new(size_t size) {
  void *p = ::operator new(size);
  KEEP(p);
  return p;
}

SITE site_new_array(size_t size) {
  void *p = ::operator new[](size, std::nothrow);
  KEEP(p);
  return p;
}

SITE site_handler(size_t size) {
  void *p = malloc(size);
  KEEP(p);
  return p;
}

SITE site_fresh(size_t size) {
  void *p = malloc(size);
  KEEP(p);
  return p;
}

SITE site_child(size_t size) {
  void *p = malloc(size);
  KEEP(p);
  return p;
}

SITE site_realloc(void *data, size_t size) {
  void *p = realloc(data, size);
  KEEP(p);
  return p;
}

SITE site_reallocarray(void *data, size_t size) {
  void *p = reallocarray(data, 1, size);
  KEEP(p);
  return p;
}

SITE site_child_realloc(void *data, size_t size) {
  void *p = realloc(data, size);
  KEEP(p);
  return p;
}

namespace sites {

const char *names[count];

namespace {

using alloc_function = void *(*)(size_t);
using change_function = void *(*)(void *, size_t);

alloc_function allocs[count];
change_function changes[count];

template <uint32_t... N> void add_plain(std::integer_sequence<uint32_t, N...>) {
  uint32_t at = 0;
  // Two columns of each are malloc: it is what most programs call.
  ((allocs[at] = site_malloc<N>, allocs[at + 1] = site_malloc<N + 100>, allocs[at + 2] = site_calloc<N>,
    allocs[at + 3] = site_calloc_many<N>, allocs[at + 4] = site_aligned_alloc<N>, allocs[at + 5] = site_memalign<N>,
    allocs[at + 6] = site_posix_memalign<N>, allocs[at + 7] = site_malloc<N + 200>, allocs[at + 8] = site_new<N>,
    allocs[at + 9] = site_new_array<N>, at += 10),
   ...);
}

template <uint32_t... N> void add_fresh(std::integer_sequence<uint32_t, N...>) {
  ((allocs[first_fresh + N] = site_fresh<N>), ...);
}

template <uint32_t... N> void add_handler(std::integer_sequence<uint32_t, N...>) {
  ((allocs[first_handler + N] = site_handler<N>), ...);
}

template <uint32_t... N> void add_child(std::integer_sequence<uint32_t, N...>) {
  ((allocs[first_child + N] = site_child<N>), ...);
}

template <uint32_t... N> void add_changes(std::integer_sequence<uint32_t, N...>) {
  ((changes[first_resize + 2 * N] = site_realloc<N>, changes[first_resize + 2 * N + 1] = site_reallocarray<N>,
    changes[first_child_resize + N] = site_child_realloc<N>),
   ...);
}

void name_one(uint32_t site, const void *function) {
  static char text[count][100];
  Dl_info info;
  if (dladdr(function, &info) == 0 || info.dli_sname == nullptr) {
    books::fail("a call site's function has no dynamic symbol", site);
    return;
  }
  const char *slash = strrchr(info.dli_fname, '/');
  snprintf(text[site], sizeof text[site], "%s!%s", slash != nullptr ? slash + 1 : info.dli_fname, info.dli_sname);
  names[site] = text[site];
}

} // namespace

void name_all() {
  add_plain(std::make_integer_sequence<uint32_t, plain / 10>());
  add_changes(std::make_integer_sequence<uint32_t, resize / 2>());
  add_handler(std::make_integer_sequence<uint32_t, handler>());
  add_fresh(std::make_integer_sequence<uint32_t, fresh>());
  add_child(std::make_integer_sequence<uint32_t, child>());
  for (uint32_t site = 0; site < atfork_prepare; site++)
    name_one(site, allocs[site] != nullptr ? reinterpret_cast<const void *>(allocs[site])
                                           : reinterpret_cast<const void *>(changes[site]));
  name_one(atfork_prepare, reinterpret_cast<const void *>(atfork_alloc_prepare));
  name_one(atfork_parent, reinterpret_cast<const void *>(atfork_alloc_parent));
  name_one(atfork_child, reinterpret_cast<const void *>(atfork_alloc_child));
}

void *alloc(uint32_t site, size_t size) { return allocs[site](size); }

void *change(uint32_t site, void *data, size_t size) { return changes[site](data, size); }

bool zeroes(uint32_t site) { return site < plain && (site % 10 == 2 || site % 10 == 3); }

bool can_change(uint32_t site) { return site >= plain || site % 10 < 8; }

void release(uint32_t site, void *data, uint32_t way) {
  if (site < plain && site % 10 == 8)
    ::operator delete(data);
  else if (site < plain && site % 10 == 9)
    ::operator delete[](data);
  else if (way % 16 != 0)
    free(data);
  else if (realloc(data, 0) != nullptr)
    books::fail("realloc to 0 did not return NULL", site);
}

} // namespace sites
