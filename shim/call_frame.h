// SPDX-License-Identifier: BSD-2-Clause
//
// Where a call came from, as the unwinder needs it: the canonical frame address of the function that was called (its
// return address lies below) and rbp as its caller left it. Two registers, so that it is passed as cheaply as one.
#pragma once

#include <cstdint>

namespace m9 {

struct call_frame {
  uintptr_t cfa;
  uintptr_t rbp;
  uintptr_t caller() const { return *reinterpret_cast<const uintptr_t *>(cfa - sizeof(uintptr_t)); }
};

// Slow paths pass a call_frame on to where types are found. One with no stack (cfa 0) says instead what is meant.
inline call_frame frame_of_subject(const void *subject) { return {0, reinterpret_cast<uintptr_t>(subject)}; }
inline void *frame_subject(call_frame f) { return f.cfa ? nullptr : reinterpret_cast<void *>(f.rbp); }

// A frame of which only the return address was looked at so far. The functions that take this one are reached by a
// jump, with the stack and rbp as their caller's caller left them, and make a call_frame of these (shim/arch,
// M9_FRAME_FINDER).
struct return_address {
  uintptr_t address;
  uintptr_t caller() const { return address; }
};

// Of the function that it stands in; that keeps a frame pointer because of it.
#define M9_FRAME                                                                                                       \
  (::m9::call_frame{reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) + 2 * sizeof(uintptr_t),                   \
                    *static_cast<const uintptr_t *>(__builtin_frame_address(0))})

// Whether eight bytes at an address on this thread's stack can be read, above a frame that is live at `below`.
constexpr uintptr_t stack_page_shift = 12; // of the smallest page; larger ones are several
bool stack_readable_beyond(uintptr_t address, uintptr_t below);
inline bool stack_readable(uintptr_t address, uintptr_t below) {
  return ((address + 7) ^ below) >> stack_page_shift == 0 || stack_readable_beyond(address, below);
}

// Stack pages of this thread that were found mapped: the number of the first << 20 | how many. One word, as a signal
// handler may come in between. Above a live frame, they stay mapped as long as that frame is live.
constexpr int stack_count_bits = 20;
__attribute__((tls_model("initial-exec"), visibility("hidden"))) extern constinit thread_local uint64_t stack_pages;

// The same where it is known, without asking the kernel: for an address that may not be the stack's.
inline bool stack_known(uintptr_t address, uintptr_t below) {
  if (((address + 7) ^ below) >> stack_page_shift == 0) [[likely]]
    return true;
  uintptr_t start = stack_pages >> stack_count_bits << stack_page_shift;
  uintptr_t bytes = (stack_pages & ((1 << stack_count_bits) - 1)) << stack_page_shift;
  return below - start < bytes && address + 7 - start < bytes;
}

// The next answer is the kernel's: what is known may be of a larger stack that was here before. A table that tells the
// truth never leads above the stack, one that was not tried yet may.
void stack_forget();

} // namespace m9
