// SPDX-License-Identifier: BSD-2-Clause
//
// libFuzzer target: any bytes at all as the segment that holds .eh_frame_hdr and .eh_frame. The first eight say where
// the header lies and which address is asked for; the rest is the segment, in a block of exactly its size.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "shim/cfi.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  constexpr uintptr_t address = 0x10000000;
  uint32_t header, pc;
  if (size < 8)
    return 0;
  std::memcpy(&header, data, 4);
  std::memcpy(&pc, data + 4, 4);
  const size_t segment = size - 8;
  const std::unique_ptr<unsigned char[]> bytes(new unsigned char[segment]);
  std::memcpy(bytes.get(), data + 8, segment);
  m9::unwind_function function;
  const m9::unwind_step step = cfi_step({bytes.get(), segment, address, header}, pc, function);
  const bool steps = step.base != m9::unwind_base::none;
  if (steps != (step.end == m9::unwind_end::none) || (!steps && (step.cfa != 0 || step.rbp != 0)))
    std::abort();
  if (step.base == m9::unwind_base::rsp && step.cfa < 8)
    std::abort();
  if (step.end != m9::unwind_end::unknown && pc - function.start >= function.size)
    std::abort();
  return 0;
}
