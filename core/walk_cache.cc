// SPDX-License-Identifier: BSD-2-Clause
#include "core/walk_cache.h"

#include "core/meta.h"

namespace m9 {
namespace {

constexpr uint64_t entries_first = 256, entries_most = 4096;
constexpr uint64_t crowded = 4; // times as many walks wanted another's entry as there are: the table is too small
constexpr uint32_t turn = 4;    // of so many that do, one gets it
alignas(4096) constinit known_walk first_table[entries_first] = {};

std::atomic<uint32_t> crowding; // walks that wanted an entry of another, since the table grew (a) relaxed

uint64_t entries_of(uint64_t table) { return uint64_t{1} << (64 - (table & 63)); }
uint64_t table_word(const known_walk *entries, uint64_t count) {
  return reinterpret_cast<uint64_t>(entries) | uint64_t(64 - __builtin_ctzll(count));
}

// A table four times as large, and empty. The old one may still be read.
void table_grow() {
  locked guard(malloc_mtx);
  uint64_t entries = entries_of(walk_read(walks.table));
  if (crowding.exchange(0, std::memory_order_relaxed) < entries * crowded)
    return; // another thread was faster
  entries *= 4;
  if (auto *fresh = static_cast<known_walk *>(meta_alloc(entries * sizeof(known_walk))))
    std::atomic_ref(walks.table).store(table_word(fresh, entries), std::memory_order_release);
}

void store(uint64_t &to, uint64_t value) { std::atomic_ref(to).store(value, std::memory_order_relaxed); }

// Of two that come to the same entry at once, one gives up. Whoever never comes back (a signal handler that leaves by
// siglongjmp) leaves an entry that nobody uses.
void entry_write(known_walk &w, uint64_t key, const walk_record &walk, uint64_t place, uint32_t generation) {
  std::atomic_ref state(w.state);
  uint64_t before = state.load(std::memory_order_relaxed);
  if ((before & 1) || !state.compare_exchange_strong(before, before | 1, std::memory_order_acquire))
    return;
  std::atomic_thread_fence(std::memory_order_release); // readers see the odd state before any of what follows
  store(w.key, key);
  store(w.place, place);
  store(w.shape, walk.shape);
  store(w.pointers, walk.pointers);
  for (unsigned i = 0; i < walk_frames; i++)
    store(w.callers[i], walk.callers[i]);
  state.store(((before >> 32) + 1) << 32 | generation, std::memory_order_release); // pairs with walk_known
}

// Where a walk leaves the one that an entry keeps; walk_frames: nowhere.
unsigned entry_fork(const known_walk &w, const walk_record &walk) {
  unsigned i = 0;
  uint64_t shape = walk_read(w.shape);
  while (i < walk_frames && walk_read(w.callers[i]) == walk.callers[i] &&
         walk_byte(shape, i) == walk_byte(walk.shape, i))
    i++;
  return i;
}

// The return address that lies so many words above the first; 0: none of this walk's.
uint64_t walk_caller(const walk_record &walk, uint32_t word) {
  for (unsigned i = 0; word != 0 && i < walk.frames; i++)
    if (walk_byte(walk.shape, i) == word)
      return walk.callers[i];
  return word == 0 ? walk.first : 0;
}

// What is known of a return address on the walk.
class walk_row_of {
public:
  walk_row_of(uint64_t caller, const walk_record &walk) : m_caller(caller) {
    m_row = std::atomic_ref(walk_row(caller)).load(std::memory_order_relaxed);
    m_ours = m_row == 0 || (m_row ^ walk_row_tag(caller)) >> walk_row_tag_shift == 0;
    if (!walk_caller(walk, word())) // this walk has no frame there, but perhaps below, as have the others
      set(below(walk), walk_row_settled);
  }
  uint32_t word() const { return m_ours ? m_row & 255 : 0; }
  // Two walks that have frames there go apart there.
  bool deepen(uint32_t words) {
    if (!m_ours || (m_row & walk_row_settled) || words <= word())
      return false;
    set(words, 0);
    return true;
  }

private:
  uint32_t below(const walk_record &walk) const {
    uint32_t best = 0;
    for (unsigned i = 0; i < walk.frames && walk_byte(walk.shape, i) < word(); i++)
      best = uint32_t(walk_byte(walk.shape, i));
    return best;
  }
  void set(uint32_t words, uint32_t settled) {
    m_row = walk_row_tag(m_caller) | settled | words;
    std::atomic_ref(walk_row(m_caller)).store(m_row, std::memory_order_relaxed);
  }
  uint64_t m_caller;
  uint32_t m_row;
  bool m_ours;
};

} // namespace

constinit walk_cache walks = {.table = 0, .generation = 2, .rows = {}};

void walk_record::add(uintptr_t caller, uintptr_t bytes_above, uint64_t pointer) {
  uint64_t words = bytes_above / 8;
  if (frames == walk_frames || words >= walk_register || pointer > walk_register)
    return drop();
  callers[frames] = caller;
  pointers |= pointer << (8 * frames);
  shape = (shape & ((uint64_t{1} << walk_last_shift) - 1)) | words << (8 * frames) | words << walk_last_shift;
  frames++;
}

void walks_start() { walks.table = table_word(first_table, entries_first); }

void walks_forget() {
  std::atomic_ref(walks.generation)
      .store(walks.generation + 2, std::memory_order_release); // pairs with walk_generation
}

void walk_remember(walk_record &walk, uint64_t zone_key, uint64_t place, uint32_t generation) {
  if (walk.first == 0)
    return;
  for (unsigned i = walk.frames; i < walk_frames; i++)
    walk.callers[i] = walk.first;
  if (walk.frames > 0) {
    walk_row_of first(walk.first, walk);
    if (first.word() == 0)
      first.deepen(uint32_t(walk_byte(walk.shape, 0)));
  }
  uint64_t passed[walk_row_words] = {}, key = walk.first + zone_key, caller = walk.first, mix = key;
  for (uint64_t &at : passed) {
    at = caller;
    uint32_t words = walk_row_of(caller, walk).word();
    if (words == 0)
      break;
    caller = walk_caller(walk, words);
    mix = walk_blend(mix, caller);
  }
  mix = walk_mix(mix, 0);
  uint64_t table = walk_read(walks.table);
  for (unsigned probe = 0;; probe++) {
    known_walk &w = walk_entry(table, mix);
    bool known = uint32_t(walk_read(w.state)) == generation, same_key = known && walk_read(w.key) == key;
    unsigned fork = same_key ? entry_fork(w, walk) : 0;
    if (fork == walk_frames)
      return;
    bool forks = same_key && fork < walk.frames && walk_byte(walk_read(w.shape), fork) == walk_byte(walk.shape, fork);
    for (unsigned i = 0; forks && i < walk_row_words; i++)
      if (passed[i] != 0 && walk_row_of(passed[i], walk).deepen(uint32_t(walk_byte(walk.shape, fork))))
        break;
    if (forks && probe < walk_probes - 1) {
      mix = walk_mix(mix, walk.callers[fork]);
      continue;
    }
    // Whose entry is another's waits for a turn: with more walks in use than entries, writing would be all that is
    // done.
    uint32_t asked = known ? crowding.fetch_add(1, std::memory_order_relaxed) : 0;
    if (asked % turn == 0)
      entry_write(w, key, walk, place, generation);
    if (asked >= entries_of(table) * crowded && entries_of(table) < entries_most)
      table_grow();
    return;
  }
}

} // namespace m9
