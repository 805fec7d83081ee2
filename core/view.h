// SPDX-License-Identifier: BSD-2-Clause
//
// A checked view of statistics (core/format.h) that lie in memory: a dump that was read, a live file that is mapped, or
// the library's own at exit. Freestanding, allocates nothing, trusts nothing.
//
// Invariants once view_open() said that all is well:
//   every index and every text of every entry points to something that is there;
//   sum of the blocks of all CPUs <= counters section, and cells * 16 <= each block, so that a walk over
//   cells x CPUs is linear in the size of the file.
// A live file changes under its reader, so every accessor checks bounds again, and gives zeros beyond them.
#pragma once

#include "core/format.h"

namespace m9 {

constexpr uint32_t view_max_zones = 64;       // the zones of a type are a bit mask, as in mts_size
constexpr uint32_t view_max_text = 64 * 1024; // bytes of one string
constexpr uint32_t view_section_kinds = 14;   // one more than the last of format::section_kind

// What is wrong, and at which byte of the file. `what` is null when nothing is.
struct view_error {
  const char *what;
  uint64_t offset;
};

struct view_text {
  const char *data;
  size_t size;
};

struct view_section {
  uint64_t offset;
  uint64_t count;
  uint64_t entry_size;
};

struct statistics_view {
  const unsigned char *data; // aligned to 8
  size_t size;
  format::header header;
  view_section sections[view_section_kinds]; // by kind; one that the file lacks has no entries
};

// One direction of a counter pair: allocations or frees.
struct view_half {
  uint64_t count;
  uint64_t bytes;
};

// What malloc_type_stats says of a type, summed over CPUs. `zones` has bit z set if anything came from zone z.
struct type_sum {
  uint64_t numallocs;
  uint64_t numfrees;
  uint64_t memalloced;
  uint64_t memfreed;
  uint64_t zones;
  format::inherited_entry inherited = {}; // how much of these was there at the fork
  bool merged = false;                    // the operations of many processes, in which the inherited ones are repeated
};

// Checks all of data[0..size), which must be aligned to 8, and outlive the view.
view_error view_open(statistics_view &view, const unsigned char *data, size_t size);

// Entries of a section; the accessors below take indices under it.
uint32_t view_count(const statistics_view &view, format::section_kind kind);
format::module_entry view_module(const statistics_view &view, uint32_t index);
format::type_entry view_type(const statistics_view &view, uint32_t index);
format::cell_entry view_cell(const statistics_view &view, uint32_t index);
format::cpu_entry view_cpu(const statistics_view &view, uint32_t index);
format::zone_entry view_zone(const statistics_view &view, uint32_t index);
format::note_entry view_note(const statistics_view &view, uint32_t index);
format::chain_entry view_chain(const statistics_view &view, uint32_t index);
format::inherited_entry view_inherited(const statistics_view &view, uint32_t cell); // zeros if there is none
format::live_entry view_live(const statistics_view &view);                          // zeros if it is no live file
bool view_is_live(const statistics_view &view);
format::peak_entry view_peak(const statistics_view &view);
bool view_has_peak(const statistics_view &view);
bool view_has_inherited(const statistics_view &view);
bool view_is_merged(const statistics_view &view); // and has inherited counts
view_text view_string(const statistics_view &view, format::text text);

// The counters of a cell on one CPU. `zone_size` is the size of the cell's zone, 0 for large.
view_half view_frees(const statistics_view &view, const format::cell_entry &cell, uint64_t zone_size,
                     const format::cpu_entry &cpu);
view_half view_allocs(const statistics_view &view, const format::cell_entry &cell, uint64_t zone_size,
                      const format::cpu_entry &cpu);

// Fills sums[0..view_count(types)). The frees of all CPUs are read before any allocs.
void view_sum_types(const statistics_view &view, type_sum *sums);

// The operations that are told: of one process all that its counters hold, of merged ones what they did themselves.
uint64_t type_requests(const type_sum &sum);
uint64_t type_frees(const type_sum &sum);
// What is live, in each process that holds it; 0 where a damaged file has more frees than allocs.
uint64_t type_inuse(const type_sum &sum);
uint64_t type_memuse(const type_sum &sum);

const char *view_mode_name(format::run_mode mode);

} // namespace m9
