// SPDX-License-Identifier: BSD-2-Clause
//
// The sums of a view: what each type did and holds; and what its modes are called.
#include "core/view.h"

namespace m9 {
namespace {

using format::section_kind;

uint64_t beyond(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

void add_inherited(const statistics_view &view, type_sum *sums, uint32_t types, uint32_t cells) {
  for (uint32_t i = 0; i < cells; i++) {
    const uint32_t type = view_cell(view, i).type;
    if (type >= types)
      continue; // changed under us
    const format::inherited_entry e = view_inherited(view, i);
    format::inherited_entry &sum = sums[type].inherited;
    sum.numallocs += e.numallocs;
    sum.numfrees += e.numfrees;
    sum.memalloced += e.memalloced;
    sum.memfreed += e.memfreed;
  }
}

} // namespace

void view_sum_types(const statistics_view &view, type_sum *sums) {
  const uint32_t types = view_count(view, section_kind::types);
  const uint32_t cells = view_count(view, section_kind::cells);
  const uint32_t cpus = view_count(view, section_kind::cpus);
  for (uint32_t t = 0; t < types; t++) {
    sums[t] = {};
    sums[t].merged = view_is_merged(view);
  }
  for (int allocs = 0; allocs < 2; allocs++)
    for (uint32_t p = 0; p < cpus; p++) {
      const format::cpu_entry cpu = view_cpu(view, p);
      for (uint32_t i = 0; i < cells; i++) {
        const format::cell_entry cell = view_cell(view, i);
        if (cell.type >= types || cell.zone >= view_max_zones)
          continue; // changed under us
        const uint64_t size = view_zone(view, cell.zone).size;
        type_sum &sum = sums[cell.type];
        const view_half half = allocs ? view_allocs(view, cell, size, cpu) : view_frees(view, cell, size, cpu);
        (allocs ? sum.numallocs : sum.numfrees) += half.count;
        (allocs ? sum.memalloced : sum.memfreed) += half.bytes;
        if (half.count != 0)
          sum.zones |= uint64_t{1} << cell.zone;
      }
    }
  if (view_has_inherited(view))
    add_inherited(view, sums, types, cells);
}

uint64_t type_requests(const type_sum &sum) {
  return sum.merged ? beyond(sum.numallocs, sum.inherited.numallocs) : sum.numallocs;
}

uint64_t type_frees(const type_sum &sum) {
  return sum.merged ? beyond(sum.numfrees, sum.inherited.numfrees) : sum.numfrees;
}

uint64_t type_inuse(const type_sum &sum) { return beyond(sum.numallocs, sum.numfrees); }
uint64_t type_memuse(const type_sum &sum) { return beyond(sum.memalloced, sum.memfreed); }

const char *view_mode_name(format::run_mode mode) {
  switch (mode) {
  case format::run_mode::boot:
    return "boot";
  case format::run_mode::rseq:
    return "rseq";
  case format::run_mode::fallback:
    return "fallback";
  case format::run_mode::compact:
    return "compact";
  }
  return "unknown";
}

} // namespace m9
