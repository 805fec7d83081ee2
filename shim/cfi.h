// SPDX-License-Identifier: BSD-2-Clause
//
// Call frame information: what .eh_frame says about one address, reduced to the two kinds of row that compilers write
// (CFA = rsp + K, CFA = rbp + K). Works on bytes alone and trusts none of them: each read is checked against the bytes
// that were given, nothing recurses or allocates, and whatever is not understood is no step.
// Sources: LSB 5.0 (.eh_frame, .eh_frame_hdr), DWARF 5 section 6.4, System V ABI for x86-64 (register numbers).
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

enum class unwind_base : uint8_t { none, rsp, rbp };

// Why there is no step.
enum class unwind_end : uint8_t {
  none,      // there is one
  outermost, // the table says that this frame has no caller
  unknown,   // no table, or none that covers the address, or one that makes no sense
  other_row, // a rule of another kind (an expression, another register), or a signal frame
};

// From a frame to its caller: CFA = base + cfa, as rsp and rbp were when the call returned to the address. The caller's
// return address lies at CFA - 8, its rsp is CFA, its rbp lies at CFA + rbp (0: it is unchanged).
struct unwind_step {
  unwind_base base;
  unwind_end end;
  int32_t cfa; // at least 8 when the base is rsp
  int32_t rbp;
};
static_assert(sizeof(unwind_step) <= 16); // kept for each return address

// The function (or the part of one) that one entry of the table describes.
struct unwind_function {
  uintptr_t start; // 0: unknown
  size_t size;
};

// The segment that holds .eh_frame_hdr and .eh_frame: `bytes[i]` is mapped at `address + i`.
struct cfi_table {
  const uint8_t *bytes;
  size_t size;
  uintptr_t address;
  size_t header; // offset of .eh_frame_hdr
};

// The step for the instruction at `pc` (for a call: the return address - 1).
unwind_step cfi_step(const cfi_table &table, uintptr_t pc, unwind_function &function);

} // namespace m9
