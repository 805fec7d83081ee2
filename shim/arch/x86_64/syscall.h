// SPDX-License-Identifier: BSD-2-Clause
//
// System calls without errno, cancellation points and interposed wrappers: malloc must leave errno alone and may run
// before libc is ready. Results below 0 are negated errno values.
#pragma once

#include <cstdint>

namespace m9 {

inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

// Tells the CPU that this is a spin loop.
inline void cpu_relax() { asm volatile("pause"); }

} // namespace m9
