// SPDX-License-Identifier: BSD-2-Clause
//
// The call-site table: (return address, size class) -> cell and tag. A cache of what the types know: an open hash with
// a first slot that the fast path compares, and a few behind it that only slow paths look at. Entries are published by
// their key and never change while they stand; a table that fills is replaced by a larger one and stays readable.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/malloc_type.h"
#include "shim/percpu_layout.h"

namespace m9 {

struct site {
  uint64_t key;  // site_key(); 0: free. Written last (t)
  uint32_t cell; // (i)
  uint16_t tag;  // (i)
  uint16_t spare;
};
static_assert(sizeof(site) == 16); // the mask below counts in bytes

// `mask` is stored after `base`, and never shrinks: a reader that sees the new mask sees the new base. The fast path
// reads both as plain words, mask first; everyone else by std::atomic_ref.
struct site_table {
  uint64_t base; // address of the entries (a)
  uint64_t mask; // (entries - 1) * sizeof(site) (a)
};
extern M9_HIDDEN site_table sites;

// The zone in the low bits: only what the multiplication carries upwards reaches the bits that the mask keeps.
inline uint64_t site_key(uintptr_t caller, uint64_t zone) { return uint64_t{caller} << 6 | zone; }
inline uint64_t site_hash(uint64_t key) { return (key * 0x9E3779B97F4A7C15u) >> 32; }
inline const site &site_first(uint64_t key) {
  return *reinterpret_cast<const site *>((site_hash(key) & sites.mask) + sites.base);
}

struct site_found {
  uint64_t cell; // 0: no memory at all
  uint16_t tag;
};
// For slow paths: looks further, and makes the type, the cell and the entry when the site is new.
site_found site_find(uintptr_t caller, unsigned zone);

bool sites_start();
// Drops the entries of types whose module is gone.
void sites_forget_gone() M9_REQUIRES(malloc_mtx);

} // namespace m9
