// SPDX-License-Identifier: BSD-2-Clause
//
// Functions that each want a known number of blocks, through wrappers of every make; prints what it counted, as
// `exact FUNCTION COUNT` and `either FUNCTION WRAPPER COUNT`. `made same`: only what is the same in every run.
#include "made.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <pthread.h>
#include <string>
#include <sys/mman.h>
#include <vector>

namespace {
struct book {
  const char *function, *wrapper;
  long allocations;
};
book books[200];
int book_count;
pthread_mutex_t books_mtx = PTHREAD_MUTEX_INITIALIZER;
void *(*volatile pointer)(size_t) = xmalloc;
jmp_buf jump;
} // namespace

extern "C" {

void count_either(const char *function, const char *wrapper, long allocations) {
  pthread_mutex_lock(&books_mtx);
  int i = 0;
  while (i < book_count && (strcmp(books[i].function, function) != 0 || strcmp(books[i].wrapper, wrapper) != 0))
    i++;
  if (i == book_count)
    books[book_count++] = {function, wrapper, 0};
  books[i].allocations += allocations;
  pthread_mutex_unlock(&books_mtx);
}

void count(const char *function, long allocations) { count_either(function, "", allocations); }
NOINLINE void keep(void *p) { free(p); }
NOINLINE void touch(char *bytes, size_t size) { memset(bytes, 1, size); }

NOINLINE void want_direct() {
  void *aligned = nullptr;
  keep(malloc(10));
  keep(calloc(3, 10));
  keep(realloc(malloc(20), 5000)); // two blocks
  if (posix_memalign(&aligned, 64, 100) != 0)
    abort();
  keep(aligned);
  keep(aligned_alloc(64, 128));
  keep(strdup("direct"));
  keep(strndup("direct", 3));
  count(__func__, 8);
}

NOINLINE void want_plain() {
  keep(xmalloc(10));
  keep(xcalloc(2, 20));
  keep(zmalloc(30));
  count(__func__, 3);
}

NOINLINE void want_copies() {
  keep(xrealloc(nullptr, 10));
  keep(xstrdup("want"));
  count(__func__, 2);
}

NOINLINE void want_glib() {
  keep(g_malloc(10));
  count(__func__, 1);
}

NOINLINE void want_deep() {
  keep(deep7_malloc(10));
  count(__func__, 1);
}

NOINLINE void want_variable(size_t size) {
  char bytes[size];
  touch(bytes, size);
  keep(alloca_malloc(size));
  keep(array_malloc(size));
  keep(big_frame_malloc(size));
  keep(recursive_malloc(size, 5));
  count(__func__, 4);
  touch(bytes, 1);
}

NOINLINE void want_hard() {
  keep(aligned_frame_malloc(10));
  count_either(__func__, "aligned_frame_malloc", 1);
  keep(huge_frame_malloc(11));
  count_either(__func__, "huge_frame_malloc", 1);
  keep(nocfi_malloc(12));
  count_either(__func__, "nocfi_malloc", 1);
  keep(nocfi_user(13));
  count("nocfi_user", 1);
}

NOINLINE void want_pointer() {
  keep(pointer(10));
  keep(called_back_malloc(20, pointer));
  count(__func__, 2);
}

NOINLINE void want_jump() {
  if (setjmp(jump) == 0)
    keep(jumping_malloc(10, jump));
  keep(jumping_malloc(20, nullptr));
  keep(xmalloc(30));
  count(__func__, 3);
}

NOINLINE void want_throw() {
  try {
    keep(throwing_malloc(10, true));
  } catch (int) {
    keep(xmalloc(20));
  }
  keep(throwing_malloc(30, false));
  try {
    throw 6.0; // the memory of an exception
  } catch (double) {
    keep(xmalloc(40));
  }
  count(__func__, 6); // one exception is thrown by a wrapper
}

NOINLINE void want_string() {
  std::string text(100, 'x');
  touch(text.data(), 1);
  text.append(500, 'y');
  touch(text.data(), 1);
  std::string copy = text;
  touch(copy.data(), 1);
  count(__func__, 3);
}

NOINLINE void want_vector() {
  std::vector<int> numbers;
  size_t grown = 0;
  for (int i = 0; i < 100; i++) {
    size_t before = numbers.capacity();
    numbers.push_back(i);
    grown += numbers.capacity() != before;
  }
  numbers.reserve(1000);
  touch(reinterpret_cast<char *>(numbers.data()), 1);
  count(__func__, long(grown) + 1);
}

NOINLINE void want_new() {
  keep(operator new(10));
  keep(operator new[](20));
  keep(new long);
  keep(new long[8]);
  auto *owned = std::make_unique<std::string>(50, 'x').release();
  touch(owned->data(), 1);
  delete owned;
  count(__func__, 6);
}

// mov $xmalloc, %rax; push %rbx; call *%rax; pop %rbx; ret: in no module.
NOINLINE void want_generated() {
  auto *code = static_cast<unsigned char *>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (code == MAP_FAILED)
    abort();
  const unsigned char bytes[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x53, 0xff, 0xd0, 0x5b, 0xc3};
  memcpy(code, bytes, sizeof bytes);
  void *(*wrapper)(size_t) = first_malloc;
  memcpy(code + 2, &wrapper, sizeof wrapper);
  void *(*generated)(size_t) = nullptr;
  memcpy(&generated, &code, sizeof code);
  keep(generated(10));
  munmap(code, 4096);
}

// The generated code was the first to call that wrapper: what was learnt then is not held against others.
NOINLINE void want_second() {
  for (int i = 0; i < 10; i++)
    keep(first_malloc(10));
  count(__func__, 10);
}

NOINLINE void want_formatted() {
  keep(g_strdup_printf("%d and %s", 5, "a text that is longer"));
  count(__func__, 2); // vasprintf takes 100 bytes and trims them
}
}

int main(int argc, char **argv) {
  bool same = argc > 1 && strcmp(argv[1], "same") == 0;
  want_generated();
  want_second();
  for (int i = 0; i < 10; i++) {
    want_direct();
    want_plain();
    want_copies();
    want_glib();
    want_formatted();
    want_deep();
    want_variable(size_t(i) * 10 + 1);
    want_hard();
    want_pointer();
    want_jump();
    want_throw();
    want_string();
    want_vector();
    want_new();
  }
  if (!same)
    stacks();
  for (int i = 0; i < book_count; i++)
    if (*books[i].wrapper)
      printf("either %s %s %ld\n", books[i].function, books[i].wrapper, books[i].allocations);
    else
      printf("exact %s %ld\n", books[i].function, books[i].allocations);
  return fflush(stdout);
}
