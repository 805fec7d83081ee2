// SPDX-License-Identifier: BSD-2-Clause
//
// Who wanted the memory: up the stack from malloc, past allocation wrappers, to the first function that is none. What
// is known of a return address is read once. How to step past a wrapper is kept in the call-site table under a key of
// its own, so that a step is a lookup and a load; that an address is in no wrapper, its type keeps.
#pragma once

#include <cstdint>

#include "core/malloc_type.h"
#include "core/site.h"
#include "core/walk_cache.h"
#include "shim/call_frame.h"
#include "shim/cfi.h"

namespace m9 {

// The place of a frame's entry: bit 63 always; bit 62 where a step leads further, then bit 61: CFA = rbp + K, else
// rsp + K; bits 0 to 19: K; bits 20 to 39: where rbp was saved, in bytes below the CFA, 0: it is unchanged. Only
// wrappers have one under frame_key; that an address is in none, its site's place says (place_ends).
constexpr uint64_t frame_known = uint64_t{1} << 63, frame_wrapper = uint64_t{1} << 62, frame_by_rbp = uint64_t{1} << 61;
constexpr int frame_offset_bits = 20;
constexpr uint64_t frame_offset_mask = (uint64_t{1} << frame_offset_bits) - 1;
constexpr uint64_t frame_key = uint64_t{zone_count + 1} << 48 | 0x20;

extern M9_HIDDEN uint32_t chain_depth; // frames looked at, at most; 1: return addresses as they are (i)
extern uint32_t chain_depth_find;      // the same of chain_end_find (i)

// From the frame of a wrapper to its caller's; false: the step leads nowhere. `readable` as stack_readable.
template <class Readable>
[[gnu::always_inline]] inline bool chain_step(uint64_t frame, call_frame &f, Readable readable) {
  uintptr_t cfa = (frame & frame_by_rbp ? f.rbp : f.cfa) + (frame & frame_offset_mask);
  uintptr_t saved = frame >> frame_offset_bits & frame_offset_mask;
  if (cfa <= f.cfa || cfa - f.cfa > step_most || cfa % 8 != 0 || !readable(cfa - 8, f.cfa)) [[unlikely]]
    return false;
  if (saved != 0) {
    if (cfa - saved < f.cfa) [[unlikely]]
      return false;
    f.rbp = *reinterpret_cast<const uintptr_t *>(cfa - saved);
  }
  f.cfa = cfa;
  return true;
}

inline uint64_t site_look(uint64_t key) {
  const site &s = site_direct(key);
  return std::atomic_ref(const_cast<uint64_t &>(s.key)).load(std::memory_order_acquire) == key ? s.place
                                                                                               : site_look_up(key);
}

// The place of the return address that a call counts for, whatever it takes; 0: a frame on the way, or the site, was
// not looked at before.
uint64_t chain_place(call_frame f, uint64_t zone_key);

// The entry of a frame whose step fits one, as of a wrapper; else 0.
uint64_t frame_pack(const unwind_step &s);
// Code that lies in no file: a chain ends below it, and may go on elsewhere.
bool generated_code(uintptr_t address);

// The return address that a call counts for. `sure`: it lies in no wrapper, so every chain ends there; else this one
// was as long as chains get, or cannot be followed further this time.
struct chain_end {
  uintptr_t caller;
  bool sure;
};
// Looks at what is new.
chain_end chain_end_find(call_frame f) M9_REQUIRES(malloc_mtx);
// What is kept of functions does not hold any more.
void chains_forget() M9_REQUIRES(malloc_mtx);

} // namespace m9
