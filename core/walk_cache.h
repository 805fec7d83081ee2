// SPDX-License-Identifier: BSD-2-Clause
//
// Walks that were made before. A step past a wrapper is a lookup and a load that waits for it (core/chain.h). What a
// walk found is kept here whole: the return addresses on its way, how far above the first each of them lies, and the
// place of the last. The next walk reads them all at once; where the stack has the same ones, it leads to the same
// place, as what is known of a return address never changes while its module is loaded.
//
// An entry is found by the zone, the first return address, and three more words of the stack, which a table of rows
// names: by the first return address the place where walks that begin with it go apart, as far as is known, and by what
// stands there the next such place. Where the entry's walk goes another way from some frame on, the return address
// there, which up to that frame lies where the entry says, leads to the next entry.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/site.h"
#include "shim/call_frame.h"

namespace m9 {

constexpr unsigned walk_frames = 7; // return addresses of a walk behind the first

struct alignas(128) known_walk {
  uint64_t state; // number of changes << 32 | generation of walks, or odd while it is being changed
  uint64_t key;   // first return address + zone_key
  uint64_t place;
  uint64_t shape;    // a byte for each frame: how many words it lies above the first; 0 behind the last
  uint64_t pointers; // a byte for each frame that is found by rbp: walk_register, or the word that rbp is in
  uint64_t callers[walk_frames]; // what stands where a frame lies; the first return address behind the last
};
constexpr unsigned walk_last_shift = 8 * walk_frames; // of shape: the last frame's byte once more
constexpr uint64_t walk_register = 255;
constexpr uint64_t walk_byte(uint64_t bytes, unsigned frame) { return bytes >> (8 * frame) & 255; }

// A walk on its way.
struct walk_record {
  uint64_t first; // return address; 0: it cannot be kept
  unsigned frames;
  uint64_t shape, callers[walk_frames], pointers; // as of known_walk
  void drop() { first = 0; }
  void add(uintptr_t caller, uintptr_t bytes_above, uint64_t pointer);
};

constexpr unsigned walk_rows = 1024, walk_probes = 4;
struct alignas(64) walk_cache {
  uint64_t table;      // address of the entries | 64 - log2 of their number
  uint32_t generation; // even; another one when sites are forgotten
  // By a return address: which word of the stack tells the walks through it apart, whether that is settled, and 23 bits
  // of the address.
  uint32_t rows[walk_rows];
};
extern M9_HIDDEN walk_cache walks; // (a) relaxed, and guesses only, but for the first two: (t), read without
constexpr unsigned walk_row_tag_shift = 9, walk_row_words = 3; // words that one leads to after the other
constexpr uint32_t walk_row_settled = 0x100;

inline uint64_t walk_read(const uint64_t &word) {
  return std::atomic_ref(const_cast<uint64_t &>(word)).load(std::memory_order_acquire);
}
inline uint32_t walk_generation() { return std::atomic_ref(walks.generation).load(std::memory_order_acquire); }
inline uint32_t &walk_row(uint64_t caller) { return walks.rows[caller % walk_rows]; }
constexpr uint32_t walk_row_tag(uint64_t caller) { return uint32_t(caller / walk_rows) << walk_row_tag_shift; }
constexpr uint32_t walk_row_word(uint32_t row, uint64_t caller) {
  return (row ^ walk_row_tag(caller)) >> walk_row_tag_shift ? 0 : row & 255;
}
inline uint32_t walk_row_word(uint64_t caller) {
  return walk_row_word(std::atomic_ref(walk_row(caller)).load(std::memory_order_relaxed), caller);
}
constexpr uint64_t walk_mix(uint64_t before, uint64_t caller) { return (before ^ caller << 16) * 0x9E3779B97F4A7C15u; }
constexpr uint64_t walk_blend(uint64_t before, uint64_t caller) { return (before << 13 | before >> 51) ^ caller; }
inline known_walk &walk_entry(uint64_t table, uint64_t mix) {
  return reinterpret_cast<known_walk *>(table & ~uint64_t{63})[mix >> (table & 63)];
}

// Words of the stack, from the first return address up.
inline uintptr_t walk_address(call_frame f, uint64_t words) { return f.cfa - 8 + words * 8; }
inline uint64_t walk_word(call_frame f, uint64_t words) {
  return *reinterpret_cast<const uint64_t *>(walk_address(f, words));
}

// Not 0: the stack has another return address where the entry's frame lies.
inline uint64_t walk_differs(const known_walk &w, uint64_t shape, call_frame f, unsigned frame) {
  return walk_word(f, walk_byte(shape, frame)) ^ walk_read(w.callers[frame]);
}

// Whether the frames that are found by rbp lie where they did: it is saved next to the return address that it leads to.
[[gnu::always_inline]] inline bool walk_pointers_agree(uint64_t pointers, uint64_t shape, call_frame f) {
  for (; pointers != 0; pointers >>= 8, shape >>= 8)
    if (uint64_t in = pointers & 255;
        in != 0 && (in == walk_register ? f.rbp : walk_word(f, in)) + 8 != walk_address(f, shape & 255))
      return false;
  return true;
}

// The place that a walk from here leads to, if it was made before; else 0. `readable` as stack_readable; with one probe
// this calls nothing else.
template <unsigned probes, class Readable>
[[gnu::always_inline]] inline uint64_t walk_known(call_frame f, uint64_t zone_key, Readable readable) {
  uint64_t first = walk_word(f, 0), key = first + zone_key, caller = first, mix = key;
  for (unsigned i = 0; i < walk_row_words; i++) {
    uint64_t words = walk_row_word(caller);
    if (words == 0)
      break;
    if (!readable(walk_address(f, words), f.cfa)) [[unlikely]]
      return 0;
    caller = walk_word(f, words);
    mix = walk_blend(mix, caller);
  }
  mix = walk_mix(mix, 0);
  uint64_t table = walk_read(walks.table);
  for (unsigned probe = 0; probe < probes; probe++) {
    const known_walk &w = walk_entry(table, mix);
    uint64_t state = walk_read(w.state), shape = walk_read(w.shape);
    if (walk_read(w.key) != key || uint32_t(state) != walk_generation() ||
        !readable(walk_address(f, shape >> walk_last_shift), f.cfa)) [[unlikely]]
      return 0;
    uint64_t other = walk_differs(w, shape, f, 0) | walk_differs(w, shape, f, 1);
    if (walk_byte(shape, 2))
      other |= walk_differs(w, shape, f, 2) | walk_differs(w, shape, f, 3);
    if (walk_byte(shape, 4))
      other |= walk_differs(w, shape, f, 4) | walk_differs(w, shape, f, 5) | walk_differs(w, shape, f, 6);
    if (!other) [[likely]] {
      uint64_t place = walk_read(w.place), pointers = walk_read(w.pointers);
      return walk_read(w.state) == state && walk_pointers_agree(pointers, shape, f) ? place : 0;
    }
    unsigned fork = 0;
    while (probes > 1 && fork < walk_frames - 1 && !walk_differs(w, shape, f, fork))
      fork++;
    mix = walk_mix(mix, walk_word(f, walk_byte(shape, fork)));
  }
  return 0;
}

void walks_start(); // once, before the fast paths are on
// Keeps a walk that led to a place; `generation`: what walk_generation() said before it began.
void walk_remember(walk_record &walk, uint64_t zone_key, uint64_t place, uint32_t generation);
// What was kept is not believed any more.
void walks_forget() M9_REQUIRES(malloc_mtx);

} // namespace m9
