// SPDX-License-Identifier: BSD-2-Clause
#include "shim/call_frame.h"

#include <cerrno>
#include <sys/syscall.h>

#include "shim/syscall.h"

namespace m9 {

__attribute__((tls_model("initial-exec"))) constinit thread_local uint64_t stack_pages = 0;

namespace {

constexpr uintptr_t page_shift = stack_page_shift;
constexpr uint64_t count_bits = stack_count_bits;

// The kernel copies the set before it finds that there is no such operation.
bool page_readable(uintptr_t page) {
  constexpr int no_operation = -1;
  return system_call(SYS_rt_sigprocmask, no_operation, long(page << page_shift), 0, 8) == -EINVAL;
}

} // namespace

void stack_forget() { stack_pages = 0; }

bool stack_readable_beyond(uintptr_t address, uintptr_t below) {
  uintptr_t from = below >> page_shift, to = (address + 7) >> page_shift;
  uint64_t seen = stack_pages;
  uintptr_t first = seen >> count_bits, last = first + (seen & ((1 << count_bits) - 1));
  bool continues = first <= from && from < last;
  for (uintptr_t page = continues ? last : from + 1; page <= to; page++)
    if (!page_readable(page))
      return false;
  first = continues ? first : from;
  last = continues && last > to ? last : to + 1;
  if (last - first < uintptr_t{1} << count_bits)
    stack_pages = first << count_bits | (last - first);
  return true;
}

} // namespace m9
