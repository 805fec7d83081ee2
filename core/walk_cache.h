// SPDX-License-Identifier: BSD-2-Clause
//
// Walks that were made before. A step past a wrapper is a lookup and a load that waits for it (core/chain.h). What a
// walk found is kept here whole: the return addresses on its way, how far above the first each of them lies, and the
// place of the last. The next walk compares them all; where the stack has the same ones, it leads to the same place, as
// what is known of a return address never changes while its module is loaded.
//
// An entry is one of the two that the zone, the first return address and the last one choose. Where the last one stands
// is guessed: the same call from the same depth of the stack nearly always has it as far above as one of the last two
// times. A guess may lead beyond the stack, so only within the page of the first is it read unseen. A walk onto another
// page is found by the depth instead, and each of its return addresses is read after all that leads to it agreed.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/site.h"
#include "shim/call_frame.h"

namespace m9 {

constexpr unsigned walk_frames = 7; // return addresses of a walk behind the first
constexpr unsigned walk_near = 4;   // so many of them lie in an entry's first line

struct alignas(64) known_walk { // what most walks need, in one line
  uint64_t state;               // number of changes << 32 | generation of walks, or odd while it is being changed
  uint64_t key;                 // first return address + zone_key, and walk_crosses, if it leads onto another page
  uint64_t place;               // and walk_more, if the second line is to be looked at
  uint64_t shape;               // bytes: how many words the last frame lies above the first; then each frame, or 0
  uint64_t callers[walk_near];  // what stands where a frame lies; the first return address behind the last
};
struct alignas(64) walk_line { // the rest
  uint64_t callers[walk_frames - walk_near];
  uint64_t pointers; // a byte for each frame that is found by rbp: walk_register, or the word that rbp is in
};
constexpr uint64_t walk_more = uint64_t{1} << 63, walk_crosses = uint64_t{1} << 62;
constexpr uint64_t walk_register = 255;
constexpr uint64_t walk_byte(uint64_t bytes, unsigned i) { return bytes >> (8 * i) & 255; }
static_assert(walk_frames + 1 == sizeof(uint64_t)); // bytes of shape

// A walk on its way.
struct walk_record {
  uint64_t first; // return address; 0: it cannot be kept
  unsigned frames;
  uint64_t shape, callers[walk_frames], pointers; // as of known_walk
  void drop() { first = 0; }
  void add(uintptr_t caller, uintptr_t bytes_above, uint64_t pointer);
};

constexpr unsigned walk_guesses_bits = 12, walk_entries_most = 4096;
struct alignas(4096) walk_cache {
  known_walk entries[walk_entries_most]; // the first ones alone, until they are too few: no page of the others is there
  walk_line seconds[walk_entries_most];
  uint32_t mask;       // bytes behind `entries` that an entry in use may begin at
  uint32_t generation; // even; another one when sites are forgotten, or walks found by other numbers
  uint64_t multiplier; // of the hash by which entries are found: odd
  // By key and depth of the stack: how many words above the first return address the last one stood the last time, and
  // another time << 8.
  alignas(64) uint16_t guesses[1 << walk_guesses_bits];
};
extern M9_HIDDEN walk_cache walks; // (a) guesses are relaxed; mask and multiplier are written so, and read plainly

inline uint64_t walk_read(const uint64_t &word) {
  return std::atomic_ref(const_cast<uint64_t &>(word)).load(std::memory_order_acquire);
}
inline uint32_t walk_generation() { return std::atomic_ref(walks.generation).load(std::memory_order_acquire); }
// What is read plainly below is read once, by an instruction that also uses it: gcc makes two of an atomic load.
// Whether another thread wrote to it then, the state of the entry says.
inline uint16_t &walk_guesses(uint64_t key, call_frame f) {
  return walks.guesses[(key + f.cfa) * walks.multiplier >> (64 - walk_guesses_bits)];
}
// How an entry is found: `with` is the last return address, or the depth, if that stands on another page.
struct walk_search {
  uint64_t key, words, with;
};
inline known_walk &walk_entry(walk_search by) {
  uint64_t hash = (by.key ^ by.with << 16) * walks.multiplier >> 32;
  return *reinterpret_cast<known_walk *>(opaque(reinterpret_cast<uintptr_t>(walks.entries)) + (hash & walks.mask));
}
inline known_walk &walk_beside(known_walk &w) { // the other one of two
  return *reinterpret_cast<known_walk *>(reinterpret_cast<uintptr_t>(&w) ^ sizeof(known_walk));
}
inline walk_line &walk_second(const known_walk &w) {
  static_assert(sizeof(walk_line) == sizeof(known_walk));
  return *reinterpret_cast<walk_line *>(reinterpret_cast<uintptr_t>(&w) + sizeof walks.entries);
}

// Words of the stack, from the first return address up.
inline uintptr_t walk_address(call_frame f, uint64_t words) { return f.cfa + words * 8 - 8; }
inline uint64_t walk_word(call_frame f, uint64_t words) {
  return *reinterpret_cast<const uint64_t *>(walk_address(f, words));
}
inline bool walk_in_page(call_frame f, uint64_t words) {
  return (walk_address(f, words) ^ walk_address(f, 0)) >> stack_page_shift == 0;
}

// Whether a frame that is found by rbp lies where it did: rbp is saved next to the return address that it leads to.
[[gnu::always_inline]] inline bool walk_pointer_agrees(uint64_t pointer, uint64_t words, call_frame f) {
  return pointer == 0 || (pointer == walk_register ? f.rbp : walk_word(f, pointer)) + 8 == walk_address(f, words);
}
[[gnu::always_inline]] inline bool walk_pointers_agree(uint64_t pointers, uint64_t shape, call_frame f) {
  for (; pointers != 0; pointers >>= 8, shape >>= 8)
    if (!walk_pointer_agrees(pointers & 255, shape & 255, f))
      return false;
  return true;
}

// Whether the walk from here is the one of an entry, and then the place that it leads to. Within a page.
[[gnu::always_inline]] inline bool walk_agrees(const known_walk &w, call_frame f, walk_search by, uint64_t &place) {
  uint64_t state = walk_read(w.state), shape = walk_read(w.shape);
  if (w.key != by.key || uint8_t(shape) != uint8_t(by.words) || uint32_t(state) != walks.generation) [[unlikely]]
    return false;
  auto differs = [&](const uint64_t &caller) {
    shape = opaque(shape >> 8);
    return caller != walk_word(f, uint8_t(shape));
  };
  if (differs(w.callers[0]) || differs(w.callers[1]) || differs(w.callers[2]) || differs(w.callers[3])) [[unlikely]]
    return false;
  uint64_t pointers = 0;
  place = w.place;
  if (place & walk_more) {
    const walk_line &second = walk_second(w);
    if (differs(second.callers[0]) || differs(second.callers[1]) || differs(second.callers[2]))
      return false;
    pointers = walk_read(second.pointers);
    shape = walk_read(w.shape) >> 8;
  }
  loads_in_order();
  return w.state == state && walk_pointers_agree(pointers, shape, f);
}

[[gnu::always_inline]] inline bool walk_guessed(call_frame f, uint64_t key, uint64_t words, uint64_t &place) {
  if (!walk_in_page(f, words)) [[unlikely]]
    return false;
  walk_search by{key, words, walk_word(f, words)};
  return walk_agrees(walk_entry(by), f, by, place);
}

// Whether a walk from here is known by the first guess, or the second one, in the first of two entries, and then the
// place that it leads to. A second guess that was right is the first one from then on. Both call nothing.
[[gnu::always_inline]] inline bool walk_known(call_frame f, uint64_t zone_key, uint64_t &place) {
  uint64_t key = walk_word(f, 0) + zone_key;
  uint16_t guesses = std::atomic_ref(walk_guesses(key, f)).load(std::memory_order_relaxed); // read once
  return walk_guessed(f, key, guesses & 255, place);
}
[[gnu::always_inline]] inline bool walk_known_otherwise(call_frame f, uint64_t zone_key, uint64_t &place) {
  uint64_t key = walk_word(f, 0) + zone_key;
  std::atomic_ref at(walk_guesses(key, f));
  uint32_t guesses = at.load(std::memory_order_relaxed), words = guesses >> 8;
  if (!walk_guessed(f, key, words, place))
    return false;
  at.store(uint16_t(guesses << 8 | words), std::memory_order_relaxed);
  return true;
}
// The place by both guesses and both entries, onto another page, too; 0: unknown.
uint64_t walk_look(call_frame f, uint64_t zone_key);

void walks_start(); // once, before the fast paths are on
// Keeps a walk that led from f to a place; `generation`: what walk_generation() said before it began.
void walk_remember(walk_record &walk, call_frame f, uint64_t zone_key, uint64_t place, uint32_t generation);
// What was kept is not believed any more.
void walks_forget();

} // namespace m9
