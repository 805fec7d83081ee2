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

// All of it is written once per process, by its first thread (i).
uintptr_t memory;
size_t mapped;
uint64_t *copies[window_count];
uint32_t sizes[window_count]; // bytes
uint64_t shared;

void drop() {
  if (memory)
    pages_unmap(memory, mapped);
  memory = 0;
}

// In a small window, pages of the copy whose sums are zero are never written, and take no memory.
void window_add(unsigned w, int cpu) {
  uintptr_t at = percpu_block_of(cpu) + window_offset(w);
  if (sizes[w] >= populate_from)
    pages_populate(at, (sizes[w] + page_size() - 1) / page_size() * page_size(), false);
  const auto *from = reinterpret_cast<const uint64_t *>(at);
  for (uint32_t i = 0; i < sizes[w] / 8; i++)
    if (from[i])
      copies[w][i] += from[i];
}

// Words 2 and 3 of a large cell count bytes.
void window_note_shared(unsigned w) {
  const bool large = w == window_of_zone(large_zone);
  for (uint32_t i = 0; i < sizes[w] / 8; i++)
    shared += large && i % 4 > 1 ? 0 : copies[w][i];
}

} // namespace

bool inherited_take() {
  drop();
  shared = 0;
  size_t size = 0;
  for (unsigned w = 0; w < window_count; w++)
    size += sizes[w] = cell_window_used(w);
  mapped = (size + page_size() - 1) / page_size() * page_size();
  if (mapped == 0 || (memory = pages_map(mapped)) == 0)
    return mapped == 0;
  if (mapped >= populate_from)
    pages_populate(memory, mapped, true);
  uintptr_t at = memory;
  for (unsigned w = 0; w < window_count; at += sizes[w++]) {
    copies[w] = reinterpret_cast<uint64_t *>(at);
    window_add(w, -1);
    window_note_shared(w);
    for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
      window_add(w, cpu);
  }
  return true;
}

bool inherited_is_known() { return memory != 0; }
uint64_t inherited_shared() { return shared; }

cell_sums inherited_read(uint64_t cell, unsigned c) {
  unsigned w = window_of_zone(c);
  uint64_t at = cell - window_offset(w);
  if (!memory || at + cell_bytes(c) > sizes[w])
    return {};
  const uint64_t *words = copies[w] + at / 8;
  if (c == large_zone)
    return {words[0], words[1], words[2], words[3]};
  return {words[0], words[1], words[0] * class_size(c), words[1] * class_size(c)};
}

} // namespace m9
