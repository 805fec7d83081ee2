// SPDX-License-Identifier: BSD-2-Clause
#include "core/cell.h"

#include "core/live.h"
#include "core/live_index.h"
#include "core/meta.h"
#include "core/zone.h"
#include "shim/percpu.h"

namespace m9 {
namespace {

// Tags of a zone that are free to give out: next .. end, then another chunk.
struct tag_range {
  uint32_t next, end;
};
tag_range ranges[zone_count + 1];     // (t)
uint32_t window_chunks[window_count]; // chunks given out of a window, 0: not begun (t)
uint32_t window_opened[window_count]; // bytes that are open on every opened CPU (t)
std::atomic<uint64_t> folded;         // (a) relaxed

constexpr uint32_t info_page_cells = 256;
cell_info *info_pages[window_count * (window_bytes / 16) / info_page_cells]; // (t), read without once published

uint64_t counter(int cpu, uint64_t offset) {
  return std::atomic_ref(*reinterpret_cast<uint64_t *>(percpu_block_of(cpu) + offset)).load(std::memory_order_relaxed);
}

// Makes the first `need` bytes of a window writable on every opened CPU, twice as many each time.
bool window_open(unsigned w, uint32_t need) M9_REQUIRES(malloc_mtx) {
  if (need <= window_opened[w])
    return true;
  uint32_t from = window_opened[w], to = from ? from : 4096;
  while (to < need)
    to *= 2;
  if (!live_open_range(-1, window_offset(w) + from, to - from))
    return false;
  for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
    if (!live_open_range(cpu, window_offset(w) + from, to - from))
      return false;
  window_opened[w] = to;
  return true;
}

// Another run of tags for a zone. False: the window, or memory, is used up.
bool tags_more(unsigned c) M9_REQUIRES(malloc_mtx) {
  unsigned w = window_of_zone(c), slot = window_slot(c);
  constexpr uint32_t slots = (zone_count + 5) / 6;
  if (c == large_zone) { // alone in its window
    uint32_t end = ranges[c].end ? ranges[c].end * 2 : 128;
    if (end * 32 > window_bytes || !window_open(w, end * 32))
      return false;
    ranges[c] = {ranges[c].end ? ranges[c].end : tag_other, end};
    return true;
  }
  if (ranges[c].end == 0) {
    if (!window_open(w, slots * chunk_bytes + window_shift(w)))
      return false;
    ranges[c] = {tag_other, chunk_cells};
    return true;
  }
  uint32_t chunk = window_chunks[w] ? window_chunks[w] : slots;
  if ((chunk + 1) * chunk_bytes + window_shift(w) > window_bytes ||
      !window_open(w, (chunk + 1) * chunk_bytes + window_shift(w)))
    return false;
  window_chunks[w] = chunk + 1;
  ranges[c] = {(chunk - slot) * chunk_cells, (chunk - slot + 1) * chunk_cells};
  return true;
}

cell_info *info_make(uint64_t cell) M9_REQUIRES(malloc_mtx) {
  uint64_t n = (cell - cells_offset) / 16;
  auto &page = info_pages[n / info_page_cells];
  if (!page) {
    auto *fresh = static_cast<cell_info *>(meta_alloc(info_page_cells * sizeof(cell_info)));
    if (!fresh)
      return nullptr;
    std::atomic_ref(page).store(fresh, std::memory_order_release); // pairs with cell_find
  }
  return page + n % info_page_cells;
}

uint64_t cell_link(malloc_type &t, unsigned c, uint64_t cell, bool pool) M9_REQUIRES(malloc_mtx) {
  cell_info *info = info_make(cell);
  if (!info)
    return 0;
  info->next_of_type = t.ks_handle->first_cell.load(std::memory_order_relaxed);
  info->zone = uint16_t(c);
  info->pool = pool;
  std::atomic_ref(info->type).store(&t, std::memory_order_release);         // pairs with cell_find
  t.ks_handle->first_cell.store(uint32_t(cell), std::memory_order_release); // pairs with malloc_type_stats_read
  live_cell_made(cell, *info);
  return cell;
}

uint64_t cell_make(malloc_type &t, unsigned c, bool pool = false) M9_REQUIRES(malloc_mtx) {
  tag_range &r = ranges[c];
  if (r.next == r.end && !tags_more(c))
    return 0;
  uint64_t cell = cell_link(t, c, cell_of_tag(c, r.next), pool);
  r.next += cell != 0;
  return cell;
}

} // namespace

uint64_t cell_for(malloc_type &t, unsigned c) {
  for (uint32_t cell = t.ks_handle->first_cell.load(std::memory_order_relaxed); cell;
       cell = cell_find(cell)->next_of_type)
    if (cell_find(cell)->zone == c && !cell_find(cell)->pool)
      return cell;
  malloc_type *other = malloc_type_other();
  if (ranges[c].end == 0 && (!other || !cell_make(*other, c))) // tag 1, before all others
    return 0;
  uint64_t cell = &t == other ? 0 : cell_make(t, c);
  if (cell == 0)
    folded.fetch_add(&t != other, std::memory_order_relaxed);
  return cell ? cell : cell_of_tag(c, tag_other);
}

uint64_t cell_for_pool(malloc_type &t) {
  malloc_type *other = malloc_type_other();
  if (ranges[large_zone].end == 0 && (!other || !cell_make(*other, large_zone))) // tag 1, before all others
    return 0;
  uint64_t cell = cell_make(t, large_zone, true);
  folded.fetch_add(cell == 0, std::memory_order_relaxed);
  return cell;
}

void cells_move(malloc_type &from, malloc_type &to) {
  auto &list = from.ks_handle->first_cell;
  while (uint32_t cell = list.load(std::memory_order_relaxed)) {
    cell_info &info = *cell_find(cell);
    list.store(info.next_of_type, std::memory_order_relaxed);
    info.next_of_type = to.ks_handle->first_cell.load(std::memory_order_relaxed);
    std::atomic_ref(info.type).store(&to, std::memory_order_release); // pairs with cell_find
    to.ks_handle->first_cell.store(cell, std::memory_order_release);  // pairs with malloc_type_stats_read
  }
}

void cells_abandon() M9_UNCHECKED {
  for (unsigned c = 0; c <= large_zone; c++) {
    tag_range &r = ranges[c];
    if (r.end == 0 || !cell_find(cell_of_tag(c, tag_other)))
      r = {}; // not begun, or not to the end
    else
      r.next = r.end; // on with another chunk: this one's next cell may be linked already, or the range half written
  }
}

cell_info *cell_find(uint64_t cell) {
  uint64_t n = (cell - cells_offset) / 16;
  if (cell < cells_offset || n >= window_count * (window_bytes / 16))
    return nullptr;
  cell_info *page = std::atomic_ref(info_pages[n / info_page_cells]).load(std::memory_order_acquire);
  cell_info *info = page ? page + n % info_page_cells : nullptr;
  return info && std::atomic_ref(info->type).load(std::memory_order_acquire) ? info : nullptr;
}

void cells_for_each(void (*f)(void *, uint64_t, const cell_info &), void *context) {
  for (uint64_t p = 0; p < sizeof info_pages / sizeof *info_pages; p++) {
    if (!std::atomic_ref(info_pages[p]).load(std::memory_order_acquire))
      continue;
    for (uint64_t i = 0; i < info_page_cells; i++) {
      uint64_t cell = cells_offset + (p * info_page_cells + i) * 16;
      if (cell_info *info = cell_find(cell))
        f(context, cell, *info);
    }
  }
}

cell_sums cell_read(uint64_t cell, unsigned c, int cpu) {
  cell_sums s{};
  s.frees = counter(cpu, cell + 8);
  s.bytes_freed = c == large_zone ? counter(cpu, cell + 24) : s.frees * class_size(c);
  s.allocs = counter(cpu, cell);
  s.bytes_alloced = c == large_zone ? counter(cpu, cell + 16) : s.allocs * class_size(c);
  return s;
}

cell_sums cell_read(uint64_t cell, unsigned c) {
  cell_sums s{};
  for (int pass = 0; pass < 2; pass++) {
    auto add = [&](int cpu) {
      (pass ? s.allocs : s.frees) += counter(cpu, cell + (pass ? 0 : 8));
      if (c == large_zone)
        (pass ? s.bytes_alloced : s.bytes_freed) += counter(cpu, cell + (pass ? 16 : 24));
    };
    if (percpu_shared_is_used())
      add(-1); // the shared block comes first in both walks
    for (int cpu = percpu_next_opened(-1); cpu >= 0; cpu = percpu_next_opened(cpu))
      add(cpu);
  }
  if (c != large_zone) {
    s.bytes_alloced = s.allocs * class_size(c);
    s.bytes_freed = s.frees * class_size(c);
  }
  return s;
}

uint32_t cell_window_used(unsigned w) {
  constexpr uint32_t slots = (zone_count + 5) / 6;
  if (w == window_of_zone(large_zone))
    return ranges[large_zone].end * cell_bytes(large_zone);
  uint32_t chunks = window_chunks[w] ? window_chunks[w] : slots;
  return window_opened[w] ? chunks * chunk_bytes + window_shift(w) : 0;
}

uint32_t cell_window_opened(unsigned w) { return window_opened[w]; }

bool cell_open_cpu(int cpu) {
  if (!percpu_open_range(cpu, 0, cells_offset))
    return false;
  bool has_cells = live_cpu_opening(cpu);
  for (unsigned w = 0; w < window_count; w++)
    if (!has_cells && window_opened[w] && !live_open_range(cpu, window_offset(w), window_opened[w]))
      return false;
  live_cpu_opened(cpu);
  percpu_mark_opened(cpu);
  return true;
}

uint64_t cell_sites_folded() { return folded.load(std::memory_order_relaxed); }

} // namespace m9
