// SPDX-License-Identifier: BSD-2-Clause
//
// The copy of a window is laid out as the window itself, so that a cell's offset leads to both.
#include "core/inherited.h"

#include "shim/pages.h"
#include "shim/percpu.h"
#include "shim/system.h"

namespace m9 {
namespace {

constexpr uint32_t populate_from = 64 * 1024; // bytes; below, faults cost no more than the call

struct sums {
  uintptr_t memory;
  size_t mapped;
  uint64_t *copies[window_count];
  uint32_t sizes[window_count]; // bytes
  uint64_t shared;
};
sums own;       // written once per process, by its first thread (i)
sums for_child; // of the next child of fork (under all locks)

void drop(sums &s) {
  if (s.memory)
    pages_unmap(s.memory, s.mapped);
  s = {};
}

// In a small window, pages of the copy whose sums are zero are never written, and take no memory.
void window_add(sums &s, unsigned w, int cpu) {
  uintptr_t at = percpu_block_of(cpu) + window_offset(w);
  if (s.sizes[w] >= populate_from)
    pages_populate(at, (s.sizes[w] + page_size() - 1) / page_size() * page_size(), false);
  const auto *from = reinterpret_cast<const uint64_t *>(at);
  for (uint32_t i = 0; i < s.sizes[w] / 8; i++)
    if (from[i])
      s.copies[w][i] += from[i];
}

// Words 2 and 3 of a large cell count bytes.
void window_note_shared(sums &s, unsigned w) {
  const bool large = w == window_of_zone(large_zone);
  for (uint32_t i = 0; i < s.sizes[w] / 8; i++)
    s.shared += large && i % 4 > 1 ? 0 : s.copies[w][i];
}

// Room for sums of the windows as they are now, all zero; that which is there if it fits. `ahead`: also for cells that
// are not in use yet.
bool room(sums &s, bool ahead) {
  uint32_t sizes[window_count];
  size_t size = 0;
  for (unsigned w = 0; w < window_count; w++)
    size += sizes[w] = ahead ? cell_window_opened(w) : cell_window_used(w);
  size_t mapped = (size + page_size() - 1) / page_size() * page_size();
  if (s.memory && s.mapped == mapped) {
    __builtin_memset(reinterpret_cast<void *>(s.memory), 0, mapped);
  } else {
    drop(s);
    if (mapped == 0 || (s.memory = pages_map(mapped)) == 0)
      return mapped == 0;
    if (mapped >= populate_from)
      pages_populate(s.memory, mapped, true);
  }
  s.mapped = mapped;
  s.shared = 0;
  uintptr_t at = s.memory;
  for (unsigned w = 0; w < window_count; at += sizes[w++]) {
    s.copies[w] = reinterpret_cast<uint64_t *>(at);
    s.sizes[w] = sizes[w];
  }
  return true;
}

bool take(sums &s, bool ahead) {
  if (!room(s, ahead))
    return false;
  for (unsigned w = 0; w < window_count; w++) {
    window_add(s, w, -1);
    window_note_shared(s, w);
    for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
      window_add(s, w, cpu);
  }
  return true;
}

} // namespace

bool inherited_take() {
  drop(own);
  return take(own, false);
}

void inherited_forget_unknown() {
  for (unsigned w = 0; w < window_count; w++) {
    const uint32_t bytes = w == window_of_zone(large_zone) ? 32 : 16;
    for (uint32_t at = 0; at + bytes <= own.sizes[w]; at += bytes)
      if (!cell_find(window_offset(w) + at))
        __builtin_memset(own.copies[w] + at / 8, 0, bytes);
  }
}

bool inherited_prepare() { return take(for_child, true) || (drop(for_child), false); }

void inherited_add(uint64_t cell, uint64_t delta) {
  auto w = unsigned((cell - cells_offset) / window_bytes);
  uint64_t at = cell - window_offset(w);
  if (w < window_count && for_child.memory && at + 8 <= for_child.sizes[w])
    for_child.copies[w][at / 8] += delta;
}

bool inherited_adopt() {
  drop(own);
  own = for_child;
  for_child = {};
  return own.memory != 0;
}

void inherited_copy(unsigned w, uint64_t *to) {
  for (uint32_t i = 0; i < own.sizes[w] / 8; i++)
    if (own.copies[w][i])
      to[i] = own.copies[w][i];
  if (percpu_next_opened(-1) >= 0)
    own.shared = 0; // no longer in the shared block
}

bool inherited_is_known() { return own.memory != 0; }
uint64_t inherited_shared() { return own.shared; }

cell_sums inherited_read(uint64_t cell, unsigned c) {
  unsigned w = window_of_zone(c);
  uint64_t at = cell - window_offset(w);
  if (!own.memory || at + cell_bytes(c) > own.sizes[w])
    return {};
  const uint64_t *words = own.copies[w] + at / 8;
  if (c == large_zone)
    return {words[0], words[1], words[2], words[3]};
  return {words[0], words[1], words[0] * class_size(c), words[1] * class_size(c)};
}

} // namespace m9
