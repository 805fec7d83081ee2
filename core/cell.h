// SPDX-License-Identifier: BSD-2-Clause
//
// Cells: where a (type, zone) pair counts, at one offset in every CPU's block. Small zones have cells of 16 bytes
// {numallocs, numfrees}, the large zone of 32 {.., bytes allocated, bytes freed}. cell = zone.cells + tag * size.
//
// Zones share windows of 512 KiB, six or seven zones to one. A window starts with one page that has 32 cells for each
// of its zones, so that a CPU on which little ran touches little; further cells come in chunks of 32 from what is left,
// for whichever of its zones needs them. A zone's tags run up to 32,767 and may skip where its neighbours have chunks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/malloc_type.h"
#include "core/size_class.h"
#include "shim/percpu_layout.h"

namespace m9 {

constexpr unsigned window_count = 7; // six for the zones, the last for large
constexpr uint32_t window_bytes = 512 * 1024;
constexpr uint32_t chunk_cells = 32;
constexpr uint32_t chunk_bytes = chunk_cells * 16;
static_assert(cells_offset + window_count * uint64_t{window_bytes} <= percpu_block);

struct cell_info {
  malloc_type *type;     // (i) once the library is configured: rules may move it before
  uint32_t next_of_type; // offset of the type's next cell, 0: last; the same
  uint16_t zone;         // (i)
  bool pool;             // of memory that the program hands out itself: bytes as it says, no items of ours (i)
};
static_assert(sizeof(cell_info) == 16);

constexpr unsigned window_of_zone(unsigned c) { return c == large_zone ? 6 : c % 6; }
// Small classes last in the window's first page, away from the first items of a slab (shim/percpu_layout.h, lines).
constexpr unsigned window_slot(unsigned c) { return c == large_zone ? 0 : (window_of_zone(c) < 2 ? 7 : 6) - c / 6; }
static_assert(window_slot(zone_count - 1) == 0 && window_slot(zone_count - 3) == 0);
constexpr uint32_t window_offset(unsigned w) { return uint32_t(cells_offset) + w * window_bytes; }
// Windows begin at multiples of a power of two, so their hot first cells would share cache sets.
constexpr uint32_t window_shift(unsigned w) { return w < 6 ? w * 80 : 0; }
constexpr uint32_t zone_cells_offset(unsigned c) {
  return window_offset(window_of_zone(c)) + window_slot(c) * chunk_bytes + window_shift(window_of_zone(c));
}
constexpr uint32_t cell_bytes(unsigned c) { return c == large_zone ? 32 : 16; }
inline uint16_t cell_tag(unsigned c, uint64_t cell) { return uint16_t((cell - zone_cells_offset(c)) / cell_bytes(c)); }
inline uint64_t cell_of_tag(unsigned c, uint32_t tag) { return zone_cells_offset(c) + uint64_t{tag} * cell_bytes(c); }

// The cell in which a type counts for a zone, made if it is new; that of "(other)" when tags or memory ran out; 0 only
// without any memory.
uint64_t cell_for(malloc_type &t, unsigned c) M9_REQUIRES(malloc_mtx);
// The cell of a type's own pool, in the large zone's window; 0: tags or memory ran out.
uint64_t cell_for_pool(malloc_type &t) M9_REQUIRES(malloc_mtx);
// Gives all cells of one type to another.
void cells_move(malloc_type &from, malloc_type &to) M9_REQUIRES(malloc_mtx);
// As malloc_types_abandon: no cell is given out twice.
void cells_abandon();
// What a cell stands for; nullptr when it was never given out.
cell_info *cell_find(uint64_t cell);
// Calls f for every cell that was given out.
void cells_for_each(void (*f)(void *context, uint64_t cell, const cell_info &), void *context);

// Sums of a cell's counters {allocs, frees[, bytes, bytes]}; of one CPU (-1: shared block) or of all, frees first.
struct cell_sums {
  uint64_t allocs, frees, bytes_alloced, bytes_freed;
};
cell_sums cell_read(uint64_t cell, unsigned c, int cpu);
cell_sums cell_read(uint64_t cell, unsigned c);

// Bytes of a window in which there are cells, from its start; none lie beyond on any CPU.
uint32_t cell_window_used(unsigned w);
uint32_t cell_window_opened(unsigned w); // bytes that are open, whole pages

// Opens the block of a CPU that runs for the first time: its caches and all cells in use.
bool cell_open_cpu(int cpu) M9_REQUIRES(malloc_mtx);
uint64_t cell_sites_folded(); // (type, zone) pairs that had to share "(other)"

} // namespace m9
