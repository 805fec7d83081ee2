// SPDX-License-Identifier: BSD-2-Clause
#include "core/walk_cache.h"

namespace m9 {
namespace {

constexpr uint32_t entries_first = 64;
constexpr uint32_t crowded = 4; // times as many walks wanted another's entry as there are: they are not spread well
constexpr uint32_t tries = 4;   // to spread so many otherwise
constexpr uint64_t hash_multiplier = 0x9E3779B97F4A7C15;
constexpr uint32_t turn = 4; // of so many that do, one gets it
constexpr uint32_t mask_of(uint32_t entries) { return (entries - 1) * uint32_t{sizeof(known_walk)}; }

std::atomic<uint32_t> crowding; // walks that wanted an entry of another (a) relaxed
std::atomic<uint32_t> turns;    // of them, those that had none (a) relaxed

void store(uint64_t &to, uint64_t value) { std::atomic_ref(to).store(value, std::memory_order_relaxed); }

// Of two that come to the same entry at once, one gives up. Whoever never comes back (a signal handler left it by
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
  state.store(((before >> 32) + 1) << 32 | generation, std::memory_order_release); // pairs with walk_agrees
}

// Counts a walk that wants the entry of another (about). Where that is too often, all are
// found by other numbers, which may part those in use; where it still is, there are four times as many entries, up to
// the end.
void crowd() {
  std::atomic_ref mask(walks.mask);
  uint32_t asked = crowding.load(std::memory_order_relaxed) + 1, now = mask.load(std::memory_order_relaxed);
  uint32_t many = (now + uint32_t{sizeof(known_walk)}) / uint32_t{sizeof(known_walk)} * crowded;
  bool more = asked == many * tries && now < mask_of(walk_entries_most);
  crowding.store(more ? 0 : asked, std::memory_order_relaxed);
  if (asked % many != 0 || asked > many * tries)
    return;
  if (more)
    mask.compare_exchange_strong(now, now * 4 + mask_of(4), std::memory_order_relaxed);
  std::atomic_ref multiplier(walks.multiplier);
  multiplier.store(multiplier.load(std::memory_order_relaxed) * hash_multiplier, std::memory_order_relaxed);
  walks_forget();
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

walk_search walk_search_for(call_frame f, uint64_t key, uint64_t words) {
  if (walk_in_page(f, words))
    return {key, words, walk_word(f, words)};
  return {key | walk_crosses, words, f.cfa};
}

// As walk_agrees, where only what was compared says that the stack goes on: by what an entry says at one time.
bool walk_agrees_beyond(const known_walk &w, call_frame f, walk_search by, uint64_t &place) {
  uint64_t state = walk_read(w.state), shape = walk_read(w.shape), pointers = 0, callers[walk_frames];
  if (walk_read(w.key) != by.key || walk_byte(shape, 0) != by.words || uint32_t(state) != walk_generation())
    return false;
  place = walk_read(w.place);
  unsigned frames = place & walk_more ? walk_frames : walk_near;
  if (place & walk_more)
    pointers = walk_read(walk_second(w).pointers);
  for (unsigned i = 0; i < frames; i++)
    callers[i] = walk_read(i < walk_near ? w.callers[i] : walk_second(w).callers[i - walk_near]);
  if (walk_read(w.state) != state)
    return false;
  for (unsigned i = 0; i < frames; i++)
    if (uint64_t words = walk_byte(shape, i + 1);
        !walk_pointer_agrees(walk_byte(pointers, i), words, f) || callers[i] != walk_word(f, words))
      return false;
  return true;
}

// In both entries; 0: in none.
uint64_t walk_find(call_frame f, uint64_t key, uint64_t words) {
  walk_search by = walk_search_for(f, key, words);
  auto *agrees = by.key & walk_crosses ? walk_agrees_beyond : walk_agrees;
  known_walk &home = walk_entry(by);
  uint64_t place;
  if (agrees(home, f, by, place))
    return place;
  if (!agrees(walk_beside(home), f, by, place))
    return 0;
  crowd();
  return place;
}

} // namespace

constinit walk_cache walks = {}; // all zero, so the library's file does not hold it

void walk_record::add(uintptr_t caller, uintptr_t bytes_above, uint64_t pointer) {
  uint64_t words = bytes_above / 8;
  if (frames == walk_frames || words >= walk_register || pointer > walk_register)
    return drop();
  callers[frames] = caller;
  pointers |= pointer << (8 * frames);
  frames++;
  shape = (shape & ~uint64_t{255}) | words << (8 * frames) | words;
}

void walks_start() {
  walks.mask = mask_of(entries_first);
  walks.multiplier = hash_multiplier;
  walks.generation = 2;
}

void walks_forget() {
  std::atomic_ref(walks.generation).fetch_add(2); // pairs with walk_generation and direct_publish
}

uint64_t walk_look(call_frame f, uint64_t zone_key) {
  uint64_t key = walk_word(f, 0) + zone_key;
  uint32_t guesses = std::atomic_ref(walk_guesses(key, f)).load(std::memory_order_relaxed), first = guesses & 255;
  if (uint64_t place = walk_find(f, key, first))
    return place;
  uint32_t second = guesses >> 8;
  uint64_t place = second == first ? 0 : walk_find(f, key, second);
  if (place)
    guess(key, f, second);
  return place;
}

void walk_remember(walk_record &walk, call_frame f, uint64_t zone_key, uint64_t place, uint32_t generation) {
  auto words = uint32_t(walk_byte(walk.shape, 0));
  if (walk.first == 0)
    return;
  for (unsigned i = walk.frames; i < walk_frames; i++)
    walk.callers[i] = walk.first;
  uint64_t key = walk.first + zone_key;
  if (guess(key, f, words) && walk_find(f, key, words)) // only the guess was wrong
    return;
  walk_search by = walk_search_for(f, key, words);
  known_walk *home = &walk_entry(by), *beside = &walk_beside(*home);
  if (generation != walk_generation())
    return;
  for (known_walk *w : {home, beside})
    if (uint64_t state = walk_read(w->state); !(state & 1) && uint32_t(state) != generation)
      return entry_write(*w, by.key, walk, place, generation);
  // Both are others', and one of these waits for a turn: with more walks in use than entries, writing would be all that
  // is done.
  uint32_t asked = turns.load(std::memory_order_relaxed);
  turns.store(asked + 1, std::memory_order_relaxed); // about as many
  crowd();
  if (asked % turn == 0 && generation == walk_generation())
    entry_write(asked / turn % 2 ? *beside : *home, by.key, walk, place, generation);
}

} // namespace m9
