// SPDX-License-Identifier: BSD-2-Clause
//
// operators CASE: the replaceable operator new and operator delete, all of them.
#include "cases.h"

#include <new>

extern "C" {
SITE void *new_plain(size_t size);
SITE void *malloc_plain(size_t size);
SITE void *new_array(size_t size);
SITE void *new_nothrow(size_t size);
SITE void *new_array_nothrow(size_t size);
SITE void *new_aligned(size_t size);
SITE void *new_array_aligned(size_t size);
SITE void *new_aligned_nothrow(size_t size);
SITE void *new_array_aligned_nothrow(size_t size);
}

namespace {

constexpr std::align_val_t wide{256};
int handler_calls;

bool aligned(void *p, size_t to) { return p != nullptr && reinterpret_cast<uintptr_t>(p) % to == 0; }

} // namespace

void *malloc_plain(size_t size) { return hide(malloc(hide_size(size))); }
void *new_plain(size_t size) { return hide(::operator new(hide_size(size))); }
void *new_array(size_t size) { return hide(::operator new[](hide_size(size))); }
void *new_nothrow(size_t size) { return hide(::operator new(hide_size(size), std::nothrow)); }
void *new_array_nothrow(size_t size) { return hide(::operator new[](hide_size(size), std::nothrow)); }
void *new_aligned(size_t size) { return hide(::operator new(hide_size(size), wide)); }
void *new_array_aligned(size_t size) { return hide(::operator new[](hide_size(size), wide)); }
void *new_aligned_nothrow(size_t size) { return hide(::operator new(hide_size(size), wide, std::nothrow)); }
void *new_array_aligned_nothrow(size_t size) { return hide(::operator new[](hide_size(size), wide, std::nothrow)); }

namespace {

void all_twenty() {
  for (size_t size = 0; size < 200000; size += 1 + size / 2) {
    ::operator delete(new_plain(size));
    ::operator delete(new_plain(size), size);
    ::operator delete(new_nothrow(size), std::nothrow);
    ::operator delete[](new_array(size));
    ::operator delete[](new_array(size), size);
    ::operator delete[](new_array_nothrow(size), std::nothrow);
    CHECK(aligned(new_plain(0), 16)); // kept
    void *blocks[] = {new_aligned(size),       new_aligned(size),       new_aligned_nothrow(size),
                      new_array_aligned(size), new_array_aligned(size), new_array_aligned_nothrow(size)};
    for (void *block : blocks) {
      CHECK(aligned(block, 256));
      memset(block, 1, size);
    }
    ::operator delete(blocks[0], wide);
    ::operator delete(blocks[1], size, wide);
    ::operator delete(blocks[2], wide, std::nothrow);
    ::operator delete[](blocks[3], wide);
    ::operator delete[](blocks[4], size, wide);
    ::operator delete[](blocks[5], wide, std::nothrow);
  }
  int rounds = 0;
  for (size_t size = 0; size < 200000; size += 1 + size / 2)
    rounds++;
  printf("new_plain %d %d\nnew_array %d %d\n", 3 * rounds, 2 * rounds, 2 * rounds, 2 * rounds);
  printf("new_nothrow %d %d\nnew_array_nothrow %d %d\n", rounds, rounds, rounds, rounds);
  printf("new_aligned %d %d\nnew_array_aligned %d %d\n", 2 * rounds, 2 * rounds, 2 * rounds, 2 * rounds);
  printf("new_aligned_nothrow %d %d\n", rounds, rounds);
  printf("new_array_aligned_nothrow %d %d\n", rounds, rounds);
}

void refused() {
  constexpr size_t much = size_t{1} << 62;
  void *(*const throwing[])(size_t) = {new_plain, new_array, new_aligned, new_array_aligned};
  void *(*const silent[])(size_t) = {new_nothrow, new_array_nothrow, new_aligned_nothrow, new_array_aligned_nothrow};
  for (auto allocate : throwing) {
    bool caught = false;
    try {
      allocate(much);
    } catch (const std::bad_alloc &) {
      caught = true;
    }
    CHECK(caught);
  }
  for (auto allocate : silent)
    CHECK(allocate(much) == nullptr);
  ::operator delete(nullptr);
  ::operator delete[](nullptr, size_t{10});
  ::operator delete(nullptr, wide);
  printf("new_plain 0 0\nnew_aligned_nothrow 0 0\n");
}

void handler() {
  handler_calls = 0;
  std::set_new_handler([] {
    if (++handler_calls % 3 == 0)
      std::set_new_handler(nullptr);
  });
  bool caught = false;
  try {
    new_plain(size_t{1} << 62);
  } catch (const std::bad_alloc &) {
    caught = true;
  }
  CHECK(caught && handler_calls == 3);
  std::set_new_handler([] {
    handler_calls++;
    std::set_new_handler(nullptr);
  });
  CHECK(new_array_nothrow(size_t{1} << 62) == nullptr && handler_calls == 4);
}

void throwing_handler() {
  std::set_new_handler([] { throw std::bad_alloc(); });
  bool caught = false;
  try {
    new_array(size_t{1} << 62);
  } catch (const std::bad_alloc &) {
    caught = true;
  }
  CHECK(caught);
  CHECK(new_nothrow(size_t{1} << 62) == nullptr);
  CHECK(new_aligned_nothrow(size_t{1} << 62) == nullptr);
}

void mixed() {
  for (int i = 0; i < 5; i++)
    free(new_plain(100));
  for (int i = 0; i < 4; i++)
    ::operator delete(malloc_plain(100));
  printf("new_plain 5 5\nmalloc_plain 4 4\n");
}

void wrong_size() {
  ::operator delete (new_plain(100), size_t{100});
  ::operator delete (new_plain(100), size_t{3000});
  ::operator delete[](new_array(3000), size_t{20});
  printf("new_plain 2 2\nnew_array 1 1\nnote 2 size mismatches\n");
}

} // namespace

int main(int argc, char **argv) {
  static const test_case cases[] = {{"all_twenty", all_twenty}, {"refused", refused},
                                    {"handler", handler},       {"throwing_handler", throwing_handler},
                                    {"mixed", mixed},           {"wrong_size", wrong_size}};
  return RUN_CASE(argc, argv, cases);
}
