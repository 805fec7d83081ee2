// SPDX-License-Identifier: BSD-2-Clause
//
// A set of small integers with a fast "lowest member": three levels of bitmaps, the upper ones saying which words below
// are not zero. Memory comes from the caller, zeroed. No locks: its owner's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

class index_set {
public:
  static constexpr uint32_t none = UINT32_MAX;

  static constexpr size_t bytes_for(uint32_t capacity) {
    return 8 * size_t{words(capacity, 0) + words(capacity, 1) + words(capacity, 2)};
  }
  void init(void *memory, uint32_t capacity) {
    m_level[0] = static_cast<uint64_t *>(memory);
    m_level[1] = m_level[0] + words(capacity, 0);
    m_level[2] = m_level[1] + words(capacity, 1);
    m_top_words = words(capacity, 2);
    m_capacity = capacity;
  }
  uint32_t capacity() const { return m_capacity; }
  bool contains(uint32_t i) const { return (m_level[0][i / 64] >> (i % 64)) & 1; }
  void insert(uint32_t i) {
    for (auto *level : m_level) {
      level[i / 64] |= uint64_t{1} << (i % 64);
      i /= 64;
    }
  }
  void remove(uint32_t i) {
    for (auto *level : m_level) {
      level[i / 64] &= ~(uint64_t{1} << (i % 64));
      if (level[i / 64])
        return;
      i /= 64;
    }
  }
  // The lowest member, or none.
  uint32_t first() const {
    for (uint32_t w = 0; w < m_top_words; w++)
      if (m_level[2][w]) {
        uint32_t i = w * 64 + uint32_t(__builtin_ctzll(m_level[2][w]));
        i = i * 64 + uint32_t(__builtin_ctzll(m_level[1][i]));
        return i * 64 + uint32_t(__builtin_ctzll(m_level[0][i]));
      }
    return none;
  }
  // The lowest member that is `from` or above, or none.
  uint32_t next(uint32_t from) const {
    while (from < m_capacity) {
      if (uint64_t rest = m_level[0][from / 64] >> (from % 64))
        return from + uint32_t(__builtin_ctzll(rest));
      uint32_t word = from / 64 + 1; // the next word that is not empty, by the level above
      while (word % 64 != 0 && word < words(m_capacity, 0) && !((m_level[1][word / 64] >> (word % 64)) & 1))
        word++;
      while (word % 64 == 0 && word < words(m_capacity, 0) && m_level[1][word / 64] == 0)
        word += 64;
      from = word * 64;
    }
    return none;
  }
  // The highest member, or none.
  uint32_t last() const {
    for (uint32_t w = m_top_words; w-- > 0;)
      if (m_level[2][w]) {
        uint32_t i = w * 64 + highest(m_level[2][w]);
        i = i * 64 + highest(m_level[1][i]);
        return i * 64 + highest(m_level[0][i]);
      }
    return none;
  }

private:
  static uint32_t highest(uint64_t word) { return 63 - uint32_t(__builtin_clzll(word)); }
  static constexpr uint32_t words(uint32_t capacity, int level) {
    uint64_t per_word = uint64_t{64} << (6 * level);
    return uint32_t((capacity + per_word - 1) / per_word);
  }
  uint64_t *m_level[3] = {};
  uint32_t m_top_words = 0;
  uint32_t m_capacity = 0;
};

} // namespace m9
