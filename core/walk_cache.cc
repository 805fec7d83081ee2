// SPDX-License-Identifier: BSD-2-Clause
#include "core/walk_cache.h"

namespace m9 {
namespace {

constexpr uint32_t entries_first = 256;
constexpr uint32_t crowded = 4; // times as many walks wanted another's entry as there are: they are too few
constexpr uint32_t turn = 4;    // of so many that do, one gets it
constexpr uint32_t mask_of(uint32_t entries) { return (entries - 1) * uint32_t{sizeof(known_walk)}; }

std::atomic<uint32_t> crowding; // walks that wanted an entry of another, since there were so many (a) relaxed

void store(uint64_t &to, uint64_t value) { std::atomic_ref(to).store(value, std::memory_order_relaxed); }

// Of two that come to the same entry at once, one gives up. Whoever never comes back (a signal handler that leaves by
// siglongjmp) leaves an entry that nobody uses.
void entry_write(known_walk &w, uint64_t key, const walk_record &walk, uint64_t place, uint32_t generation) {
  std::atomic_ref state(w.state);
  uint64_t before = state.load(std::memory_order_relaxed);
  if ((before & 1) || !state.compare_exchange_strong(before, before | 1, std::memory_order_acquire))
    return;
  std::atomic_thread_fence(std::memory_order_release); // readers see the odd state before any of what follows
  bool more = walk.frames > walk_near || walk.pointers != 0;
  store(w.key, key);
  store(w.place, place | (more ? walk_more : 0));
  store(w.shape, walk.shape);
  for (unsigned i = 0; i < walk_near; i++)
    store(w.callers[i], walk.callers[i]);
  if (more) {
    walk_line &second = walk_second(w);
    for (unsigned i = walk_near; i < walk_frames; i++)
      store(second.callers[i - walk_near], walk.callers[i]);
    store(second.pointers, walk.pointers);
  }
  state.store(((before >> 32) + 1) << 32 | generation, std::memory_order_release); // pairs with walk_guessed
}

// Four times as many entries, where that may be. What those in use say stays true, but only what is still found by its
// new number is of use.
void entries_more(uint32_t mask) {
  std::atomic_ref now(walks.mask);
  if (mask < mask_of(walk_entries_most) &&
      now.compare_exchange_strong(mask, mask * 4 + mask_of(4), std::memory_order_relaxed))
    crowding.store(0, std::memory_order_relaxed);
}

// Makes it the first guess; false: it was.
bool guess(uint64_t key, call_frame f, uint32_t words) {
  std::atomic_ref guesses(walk_guesses(key, f));
  uint32_t before = guesses.load(std::memory_order_relaxed);
  if ((before & 255) == words)
    return false;
  guesses.store(uint16_t(before << 8 | words), std::memory_order_relaxed);
  return true;
}

} // namespace

constinit walk_cache walks = {}; // all zero, so the library's file does not hold it

void walk_record::add(uintptr_t caller, uintptr_t bytes_above, uint64_t pointer) {
  uint64_t words = bytes_above / 8;
  if (frames == walk_frames || words >= walk_register || pointer > walk_register)
    return drop();
  callers[frames] = caller;
  pointers |= pointer << (8 * frames);
  shape = (shape & ((uint64_t{1} << walk_last_shift) - 1)) | words << (8 * frames) | words << walk_last_shift;
  frames++;
}

void walks_start() {
  walks.mask = mask_of(entries_first);
  walks.generation = 2;
}

void walks_forget() {
  std::atomic_ref(walks.generation)
      .store(walks.generation + 2, std::memory_order_release); // pairs with walk_generation
}

uint64_t walk_known_otherwise(call_frame f, uint64_t zone_key) {
  uint64_t key = walk_word(f, 0) + zone_key;
  uint32_t guesses = std::atomic_ref(walk_guesses(key, f)).load(std::memory_order_relaxed), words = guesses >> 8;
  uint64_t place = words == (guesses & 255) ? 0 : walk_guessed(f, key, words);
  if (place)
    guess(key, f, words);
  return place;
}

void walk_remember(walk_record &walk, call_frame f, uint64_t zone_key, uint64_t place, uint32_t generation) {
  auto words = uint32_t(walk.shape >> walk_last_shift);
  if (walk.first == 0 || !walk_in_page(f, words))
    return;
  for (unsigned i = walk.frames; i < walk_frames; i++)
    walk.callers[i] = walk.first;
  uint64_t key = walk.first + zone_key;
  if (guess(key, f, words) && walk_guessed(f, key, words)) // only the guess was wrong
    return;
  // Whose entry is another's waits for a turn: with more walks in use than entries, writing would be all that is done.
  uint32_t mask = std::atomic_ref(walks.mask).load(std::memory_order_relaxed);
  known_walk &w = walk_entry(key, walk_word(f, words));
  bool known = uint32_t(walk_read(w.state)) == generation;
  uint32_t asked = known ? crowding.load(std::memory_order_relaxed) : 0;
  if (known)
    crowding.store(asked + 1, std::memory_order_relaxed); // about as many
  if (asked % turn == 0)
    entry_write(w, key, walk, place, generation);
  if (asked >= (mask / sizeof w + 1) * crowded)
    entries_more(mask);
}

} // namespace m9
