// SPDX-License-Identifier: BSD-2-Clause
//
// What a few byte patterns of x86-64 code say about a function, without a disassembler. Patterns may be met by chance
// inside of other instructions: the answers are good guesses, and the same every time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

// Direct calls: E8 rel32, near enough to be one module's.
inline unsigned code_calls(const uint8_t *code, size_t size) {
  unsigned calls = 0;
  for (size_t i = 0; i + 5 <= size; i++) {
    int32_t distance;
    __builtin_memcpy(&distance, code + i + 1, 4);
    calls += code[i] == 0xE8 && distance > -(1 << 26) && distance < 1 << 26;
  }
  return calls;
}

// Whether the call that returns to `after` is given a constant size as its first or second argument, loaded shortly
// before: mov $n, %edi (BF) or %esi (BE), not %r14d or %r15d (the same behind 41). Up to 8 is no size: it is calloc's
// number of items, or what to ask for in place of nothing.
inline bool code_constant_argument(const uint8_t *code, size_t after) {
  constexpr size_t call = 5, window = 32;
  size_t end = after < call ? 0 : after - call;
  for (size_t i = end < window ? 0 : end - window; i < end; i++) {
    uint32_t n;
    __builtin_memcpy(&n, code + i + 1, 4); // at most up to `after`
    if ((code[i] == 0xBF || code[i] == 0xBE) && (i == 0 || code[i - 1] != 0x41) && n > 8 && n <= 1 << 20)
      return true;
  }
  return false;
}

// Whether the bytes before code[after] can be a call: E8 rel32, or FF /2 with any operand.
inline bool code_follows_call(const uint8_t *code, size_t after) {
  if (after < 8)
    return false;
  const uint8_t *at = code + after;
  constexpr int lengths[] = {2, 3, 4, 6, 7, 8};
  for (int n : lengths)
    if (at[-n] == 0xFF && (at[-n + 1] >> 3 & 7) == 2)
      return true;
  return at[-5] == 0xE8;
}

// Where a short function goes on by a jump (E9 rel32) to another: offset from its start, or 0.
inline int64_t code_tail_jump(const uint8_t *code, size_t size) {
  for (size_t i = 0; i + 5 <= size; i++)
    if (code[i] == 0xE9) {
      int32_t distance;
      __builtin_memcpy(&distance, code + i + 1, 4);
      return int64_t(i) + 5 + distance;
    }
  return 0;
}

} // namespace m9
