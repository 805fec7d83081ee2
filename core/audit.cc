// SPDX-License-Identifier: BSD-2-Clause
#include "core/audit.h"

#include "core/cell.h"
#include "core/extent.h"
#include "core/heap.h"
#include "core/keg.h"
#include "core/layout.h"
#include "core/malloc_type.h"

namespace m9 {
namespace {

constexpr uint32_t tags_most = 0x8000;

// Live items per tag of one zone, and bytes (large).
struct tally {
  uint32_t items[tags_most];
  uint64_t bytes[tags_most / 2]; // the large zone's cells are twice as big
};

struct walk {
  tally *t;
  audit_result r;
  unsigned zone;
};

tally tallies; // not from pages: the audit must work where no memory is left

void fail(walk &w, const char *what, uint64_t expected, uint64_t found) {
  if (w.r.failure)
    return;
  w.r.failure = what;
  w.r.expected = expected;
  w.r.found = found;
}

void tally_clear(tally &t) { __builtin_memset(&t, 0, sizeof t); }

void cell_check(void *context, uint64_t cell, const cell_info &info) {
  auto &w = *static_cast<walk *>(context);
  if (info.zone != w.zone || info.pool) // a pool's items are not ours to count
    return;
  cell_sums s = cell_read(cell, info.zone);
  uint16_t tag = cell_tag(info.zone, cell);
  uint64_t live = s.allocs - s.frees;
  if (live != w.t->items[tag]) {
    if (heap_is_child()) // threads of the parent were inside malloc or free when the fork cut them off
      w.r.in_flight += live > w.t->items[tag] ? live - w.t->items[tag] : w.t->items[tag] - live;
    else
      fail(w, "live items of a type", live, w.t->items[tag]);
  }
  if (info.zone == large_zone && s.bytes_alloced - s.bytes_freed != w.t->bytes[tag] && !heap_is_child())
    fail(w, "live bytes of a type's large blocks", s.bytes_alloced - s.bytes_freed, w.t->bytes[tag]);
  w.t->items[tag] = 0; // what is left afterwards has no type
}

void tally_check(walk &w) {
  cells_for_each(cell_check, &w);
  for (uint32_t tag = 0; tag < tags_most; tag++)
    if (w.t->items[tag])
      fail(w, "live items whose tag has no type", 0, w.t->items[tag]);
}

// Counts a slab's live items by tag; returns how many.
uint64_t slab_tally(walk &w, const keg &k, const slab &s) {
  uint64_t live = 0, out = 0;
  for (uint32_t bit = 0; bit < k.slab_items && s.base; bit++) {
    bool is_out = (s.bits[bit / 64] >> (bit % 64)) & 1;
    uint16_t tag = stamp_tag(s.tags[bit]);
    bool is_live = s.tags[bit] & stamp_held;
    out += is_out;
    if (!is_live)
      continue;
    live++;
    w.t->items[tag]++;
    if (!is_out)
      fail(w, "a live item that its slab has as free", 0, tag);
  }
  if (out != s.out)
    fail(w, "items out of a slab", s.out, out);
  return live;
}

// The slabs of one zone; adds its live items to the tally. False: it was never used.
bool zone_check(walk &w, unsigned n) M9_UNCHECKED {
  keg &k = kegs[n];
  if (!k.ready)
    return false;
  uint64_t live = 0, out = 0, idle = 0;
  for (uint32_t number = 0; number < k.slabs; number++) {
    const slab &s = *keg_slab(k, number);
    live += slab_tally(w, k, s);
    out += s.out;
    idle += k.dirty.contains(number);
    if (k.available.contains(number) != (s.out < k.slab_items))
      fail(w, "a slab is in the wrong set", s.out, number);
  }
  uint64_t cached = zone_cached(n);
  if (out != k.items_out)
    fail(w, "items out of a keg", k.items_out, out);
  if (idle != k.slabs_idle)
    fail(w, "idle slabs of a keg", k.slabs_idle, idle);
  if (live + cached != out && !heap_is_child())
    fail(w, "live and cached items of a zone", out, live + cached);
  w.r.items += live;
  return true;
}

// All domains' zones of a class count in the same cells.
void class_check(walk &w, unsigned c) M9_UNCHECKED {
  uint64_t mask = signals_block();
  const unsigned first = zone_first(c), end = zone_first(c + 1);
  for (unsigned n = first; n < end; n++)
    kegs[n].lock.lock();
  w.zone = c;
  tally_clear(*w.t);
  bool used = false;
  for (unsigned n = first; n < end; n++)
    used = zone_check(w, n) || used;
  if (used) {
    w.r.zones++;
    tally_check(w);
  }
  for (unsigned n = end; n-- > first;)
    kegs[n].lock.unlock();
  signals_restore(mask);
}

void large_tally(void *context, const extent &e) {
  auto &w = *static_cast<walk *>(context);
  w.r.items++;
  w.t->items[e.tag]++;
  w.t->bytes[e.tag] += extent_counted(e);
}

void large_check(walk &w) M9_UNCHECKED {
  locked guard(extents_lock);
  w.zone = large_zone;
  tally_clear(*w.t);
  extents_for_each_live(large_tally, &w);
  uint64_t bytes = 0;
  for (uint64_t b : w.t->bytes)
    bytes += b;
  extent_totals totals = extents_totals();
  if (!heap_is_child() && bytes + totals.slabs + totals.cached + totals.dirty + totals.clean != totals.mapped)
    fail(w, "bytes of all extents", totals.mapped, bytes + totals.slabs + totals.cached + totals.dirty + totals.clean);
  tally_check(w);
}

} // namespace

audit_result audit() {
  heap_enter();
  walk w{};
  w.t = &tallies;
  w.r.types = malloc_types_count();
  for (unsigned c = 0; c < zone_count; c++)
    class_check(w, c);
  large_check(w);
  return w.r;
}

} // namespace m9
