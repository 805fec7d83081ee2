// SPDX-License-Identifier: BSD-2-Clause
//
// The walk by unwind_find() through this process's own frames, against the compiler's unwinder; and addresses that have
// no step.
#include "shim/unwind.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include <catch2/catch.hpp>

namespace {

struct walk {
  std::vector<uintptr_t> ours;
  std::vector<void *> theirs;
};

[[gnu::noinline, gnu::noclone]] void walk_here(walk &w) {
  w.theirs.resize(256);
  w.theirs.resize(size_t(backtrace(w.theirs.data(), int(w.theirs.size()))));
  auto *frame = static_cast<const uintptr_t *>(__builtin_frame_address(0));
  uintptr_t rbp = frame[0], cfa = uintptr_t(frame) + 16;
  for (uintptr_t at = frame[1];;) {
    w.ours.push_back(at);
    m9::unwind_function function;
    const m9::unwind_step step = m9::unwind_find(at, function);
    if (step.base == m9::unwind_base::none) {
      CHECK(step.end == m9::unwind_end::outermost);
      break;
    }
    CHECK(at - 1 - function.start < function.size);
    cfa = (step.base == m9::unwind_base::rsp ? cfa : rbp) + uintptr_t(step.cfa);
    if (step.rbp != 0)
      rbp = *reinterpret_cast<const uintptr_t *>(cfa + uintptr_t(step.rbp));
    at = reinterpret_cast<const uintptr_t *>(cfa)[-1];
  }
}

// Frames of several shapes: a variable array, an aligned local, callee-saved registers, libc's own in between.
[[gnu::noinline, gnu::noclone]] void walk_variable(walk &w, unsigned n) {
  char array[n];
  array[n - 1] = char(n);
  asm volatile("" ::"r"(array) : "memory");
  walk_here(w);
  asm volatile("" ::"r"(array) : "memory");
}

walk *sorted;
int compare(const void *a, const void *b) {
  if (sorted) {
    walk_variable(*sorted, 40);
    sorted = nullptr;
  }
  return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

} // namespace

TEST_CASE("unwind_find walks as the compiler's unwinder does", "[unwind]") {
  walk w;
  sorted = &w;
  int numbers[] = {3, 1, 2};
  qsort(numbers, 3, sizeof numbers[0], compare);
  REQUIRE(w.ours.size() > 8);
  REQUIRE(w.theirs.size() > w.ours.size()); // theirs begins in walk_here
  for (size_t i = 0; i < w.ours.size(); i++)
    CHECK(w.ours[i] == uintptr_t(w.theirs[w.theirs.size() - w.ours.size() + i]));
}

TEST_CASE("what is no code has no step", "[unwind]") {
  m9::unwind_function function;
  const auto none = [&function](uintptr_t address) {
    const m9::unwind_step step = m9::unwind_find(address, function);
    return step.base == m9::unwind_base::none && step.end == m9::unwind_end::unknown && function.start == 0;
  };
  CHECK(none(0));
  CHECK(none(1));
  CHECK(none(UINTPTR_MAX));
  int local = 0;
  CHECK(none(uintptr_t(&local)));
  const std::vector<char> heap(100);
  CHECK(none(uintptr_t(heap.data())));
  void *page = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(none(uintptr_t(page) + 100)); // as code made at run time, without a table
  CHECK(none(uintptr_t(dlsym(RTLD_DEFAULT, "environ"))));
  munmap(page, 4096);
}

TEST_CASE("the kernel's page has a table too", "[unwind]") {
  const uintptr_t start = getauxval(AT_SYSINFO_EHDR);
  if (start == 0)
    return;
  m9::cfi_table table;
  REQUIRE(m9::unwind_table(start, table));
  CHECK(table.address == start);
  unsigned steps = 0;
  m9::unwind_function function;
  for (size_t at = 0; at < table.size; at++)
    steps += m9::unwind_find(start + at, function).base == m9::unwind_base::rsp;
  CHECK(steps > 100);
}
