// SPDX-License-Identifier: BSD-2-Clause
#include "core/extent.h"

#include <atomic>

#include "core/decay.h"
#include "core/extent_set.h"
#include "core/layout.h"
#include "core/page_map.h"
#include "core/peak.h"
#include "shim/pages.h"
#include "shim/panic.h"

namespace m9 {

constinit mutex extents_lock(lock_rank::extents); // all below

namespace {

// Blocks begin at multiples of this, where address space is not scarce: few programs touch all of a large block, and so
// the pages that they do touch (its first, every so many) are mostly ones that the last block there touched too.
// Small ones are left out: what lies between them would be a large part.
constexpr size_t extent_alignment = 65536, extent_aligned_least = 8 * extent_alignment;

extent_set sets[2]; // 0: dirty, tried first; 1: clean
uint64_t mapped_bytes, slab_bytes;
uintptr_t numbers_base; // address of the extent numbered 0: half of all numbers below the first chunk

extent_set &set_of(extent_state s) { return sets[s == extent_state::clean]; }
size_t page() { return size_t{1} << page_map_page_shift(); }

// Writes the records of both ends.
extent *extent_stamp(uintptr_t address, uint32_t pages, extent_state state) {
  extent *first = page_map_find(address);
  extent *last = page_map_find(address + (size_t{pages} - 1) * page());
  first->address = last->address = address;
  first->pages = last->pages = first->counted = pages;
  first->state = last->state = state;
  return first;
}

std::atomic<uint64_t> spare_bytes; // (a) relaxed

// Nothing of an extent is spare from now on.
void spare_end(extent &e) {
  size_t spare = extent_bytes(e) - extent_counted(e);
  if (spare == 0)
    return;
  spare_bytes.fetch_sub(spare, std::memory_order_relaxed);
  decay_account_extents(-int64_t(spare));
  e.counted = e.pages;
}

void free_insert(extent *e) {
  set_insert(set_of(e->state), e);
  if (e->state == extent_state::dirty)
    decay_account_extents(int64_t(extent_bytes(*e)));
}

void free_remove(extent *e) {
  set_remove(set_of(e->state), e);
  if (e->state == extent_state::dirty)
    decay_account_extents(-int64_t(extent_bytes(*e)));
}

// Makes [address, +pages) free and joins it with equally clean neighbours.
void extent_free(uintptr_t address, uint32_t pages, extent_state state, uint32_t freed) {
  page_map_find(address)->state = extent_state::none;
  page_map_find(address + (size_t{pages} - 1) * page())->state = extent_state::none;
  extent *after = page_map_find(address + size_t{pages} * page());
  if (after && after->state == state && after->address == address + size_t{pages} * page()) {
    free_remove(after);
    pages += after->pages;
    after->state = extent_state::none;
  }
  extent *before = page_map_find(address - page());
  if (before && before->state == state) {
    extent *first = page_map_find(before->address);
    free_remove(first);
    before->state = extent_state::none;
    address = first->address;
    pages += first->pages;
  }
  extent *e = extent_stamp(address, pages, state);
  e->freed = freed;
  free_insert(e);
}

bool chunk_add(size_t need) {
  // A part of what is there already, so that the number of chunks stays small; in compact mode address space is scarce.
  size_t least = mapped_bytes / 8, most = layout_is_compact() ? 1024 * 1024 : 64 * 1024 * 1024;
  size_t size = least > most ? most : least < 512 * 1024 ? 512 * 1024 : least & ~(page() - 1);
  size = size < need ? need : size;
  uintptr_t p = pages_map(size);
  if (!p && size > need)
    p = pages_map(size = need);
  if (!p)
    return false;
  if (!page_map_cover(p - page(), size + 2 * page())) {
    pages_unmap(p, size);
    return false;
  }
  if (!numbers_base) {
    uintptr_t half = uintptr_t{1} << (31 + page_map_page_shift());
    numbers_base = p > half ? (p - half) & ~(page() - 1) : 0;
  }
  mapped_bytes += size;
  extent_free(p, uint32_t(size / page()), extent_state::clean, 0);
  return true;
}

// Takes [at, +pages) out of the free extent e; what is left on both sides stays free.
extent *extent_carve(extent *e, uintptr_t at, uint32_t pages) {
  free_remove(e);
  uintptr_t start = e->address, end = start + extent_bytes(*e), stop = at + size_t{pages} * page();
  extent_state state = e->state;
  uint32_t freed = e->freed;
  e->state = extent_state::none;
  auto keep = [&](uintptr_t from, uintptr_t to) {
    if (from == to)
      return;
    extent *rest = extent_stamp(from, uint32_t((to - from) / page()), state);
    rest->freed = freed;
    free_insert(rest);
  };
  keep(start, at);
  keep(stop, end);
  return extent_stamp(at, pages, extent_state::live);
}

extent *extent_find_and_take(uint32_t pages, size_t alignment, bool &zeroed) {
  uintptr_t at = 0;
  for (extent_set &s : sets)
    if (extent *e = set_find(s, pages, alignment, at)) {
      zeroed = e->state == extent_state::clean;
      if (zeroed)
        decay_grew(size_t{pages} * page());
      return extent_carve(e, at, pages);
    }
  return nullptr;
}

// False: the pages are locked and stay dirty.
bool extent_purge(extent *e) {
  free_remove(e);
  uintptr_t address = e->address;
  uint32_t pages = e->pages;
  e->state = extent_state::none;
  bool clean = pages_purge(address, extent_bytes(*e));
  if (clean && layout_is_compact() && extent_bytes(*e) >= 256 * 1024) {
    // Address space is scarce here, and other users of mmap want it too.
    page_map_find(address + (size_t{pages} - 1) * page())->state = extent_state::none;
    mapped_bytes -= extent_bytes(*e);
    pages_unmap(address, extent_bytes(*e));
    return true;
  }
  extent_free(address, pages, clean ? extent_state::clean : extent_state::dirty, decay_now());
  return clean;
}

} // namespace

size_t extent_bytes(const extent &e) { return size_t{e.pages} << page_map_page_shift(); }
size_t extent_counted(const extent &e) { return size_t{e.counted} << page_map_page_shift(); }
uint64_t extents_spare() { return spare_bytes.load(std::memory_order_relaxed); }

namespace {
// From what is free, else from the kernel, else from what is free once all idle memory is whole again.
extent *extent_take_pages(uint32_t pages, size_t alignment, bool &zeroed) M9_REQUIRES(extents_lock) {
  if (extent *e = extent_find_and_take(pages, alignment, zeroed))
    return e;
  size_t bytes = size_t{pages} * page(), need = alignment > page() ? bytes + alignment : bytes;
  if (!chunk_add(need)) {
    extents_purge_to(0);
    if (extent *e = extent_find_and_take(pages, alignment, zeroed))
      return e;
    if (!chunk_add(need))
      return nullptr;
  }
  return extent_find_and_take(pages, alignment, zeroed);
}
} // namespace

extent *extent_take(size_t size, size_t alignment, bool &zeroed) {
  if (size == 0 || size > (size_t{1} << (address_bits - 1)))
    return nullptr;
  auto pages = uint32_t((size + page() - 1) / page());
  extent *e = nullptr;
  if (size >= extent_aligned_least && alignment < extent_alignment && !layout_is_compact())
    e = extent_take_pages(pages, extent_alignment, zeroed);
  if (!e)
    e = extent_take_pages(pages, alignment, zeroed);
  peak_extents();
  return e;
}

void extent_give(extent *e) {
  uintptr_t address = e->address;
  uint32_t pages = e->pages;
  if (e->moved) {
    e->moved = false;
    extent_free(address, pages, pages_renew(address, extent_bytes(*e)) ? extent_state::clean : extent_state::dirty,
                decay_now());
  } else {
    extent_free(address, pages, extent_state::dirty, decay_now());
  }
  peak_extents();
}

bool extent_resize(extent *e, size_t size) {
  auto pages = uint32_t((size + page() - 1) / page());
  uintptr_t address = e->address, end = address + extent_bytes(*e), stop = address + size_t{pages} * page();
  if (pages <= e->pages)
    spare_end(*e);
  if (pages == e->pages)
    return true;
  if (pages < e->pages) {
    uint32_t tail = e->pages - pages;
    extent_stamp(address, pages, extent_state::live);
    page_map_find(stop)->state = extent_state::none;
    extent_free(stop, tail, extent_state::dirty, decay_now());
    return true;
  }
  extent *after = page_map_find(end);
  if (!after || after->address != end || (after->state != extent_state::clean && after->state != extent_state::dirty) ||
      end + extent_bytes(*after) < stop)
    return false;
  spare_end(*e);
  page_map_find(end - page())->state = extent_state::none;
  extent_carve(after, end, pages - e->pages);
  after->state = extent_state::none;
  extent_stamp(address, pages, extent_state::live);
  peak_extents();
  return true;
}

extent *extent_claim(uintptr_t address, size_t &counted) {
  extent *e = page_map_find(address);
  extent_state expected = extent_state::live;
  // Relaxed: what the block's user wrote is ordered by how the pointer came to the thread that frees it.
  bool mine =
      e && e->address == address &&
      std::atomic_ref(e->state).compare_exchange_strong(expected, extent_state::cached, std::memory_order_relaxed);
  if (!mine)
    return nullptr;
  counted = extent_counted(*e);
  spare_end(*e);
  return e;
}

void extent_hand_out(extent &e, size_t bytes, uint16_t tag) {
  decay_account_extents(-int64_t(bytes));
  e.counted = uint32_t(bytes >> page_map_page_shift());
  if (size_t spare = extent_bytes(e) - bytes)
    spare_bytes.fetch_add(spare, std::memory_order_relaxed);
  e.tag = tag;
  std::atomic_ref(e.state).store(extent_state::live, std::memory_order_release);
}

bool extent_number(const extent &e, uint32_t &number) {
  uintptr_t n = (e.address - numbers_base) >> page_map_page_shift();
  number = uint32_t(n);
  return n == number;
}

extent *extent_of_number(uint32_t number) {
  return page_map_find(numbers_base + (uintptr_t{number} << page_map_page_shift()));
}

extent *extent_at(uintptr_t address) {
  extent *e = page_map_find(address);
  return e && e->state == extent_state::live && e->address == address ? e : nullptr;
}

extent *extent_around(uintptr_t address) {
  for (uintptr_t at = address & ~(page() - 1); at != 0; at -= page()) {
    extent *e = page_map_find(at);
    if (!e)
      return nullptr;
    if (e->state != extent_state::none) {
      e = page_map_find(e->address);
      return e->state == extent_state::live && address - e->address < extent_bytes(*e) ? e : nullptr;
    }
  }
  return nullptr;
}

bool extent_was_freed(uintptr_t address) {
  extent *e = page_map_find(address);
  return e && (address & (page() - 1)) == 0 && e->tag != 0 && e->state != extent_state::live;
}

void *extent_take_slab(size_t bytes, slab *owner) {
  locked_inside guard(extents_lock);
  bool zeroed;
  extent *e = extent_take(bytes, 65536, zeroed);
  if (!e)
    return nullptr;
  // Items of a fresh slab read as zeros, like a slab's that was given back.
  if (!zeroed && !pages_purge(e->address, bytes))
    __builtin_memset(extent_address(*e), 0, bytes);
  for (size_t i = 0; i < bytes; i += page()) {
    extent *record = page_map_find(e->address + i);
    record->state = extent_state::slab;
    record->address = e->address;
    record->owner = owner;
    record->tag = 0;
  }
  slab_bytes += bytes;
  return extent_address(*e);
}

void extent_give_slab(void *p, size_t bytes) {
  locked_inside guard(extents_lock);
  auto address = reinterpret_cast<uintptr_t>(p);
  for (size_t i = 0; i < bytes; i += page())
    page_map_find(address + i)->state = extent_state::none;
  slab_bytes -= bytes;
  extent_free(address, uint32_t(bytes / page()), extent_state::dirty, decay_now());
}

slab *extent_slab_of(uintptr_t address) {
  extent *e = page_map_find(address);
  return e && e->state == extent_state::slab ? e->owner : nullptr;
}

void extents_purge_old(uint32_t before, uint64_t most) {
  uint64_t least = sets[0].bytes > most ? sets[0].bytes - most : 0;
  for (extent *bin : sets[0].bins)
    for (extent *e = bin, *next; e && sets[0].bytes > least; e = next) {
      next = e->next;
      if (int32_t(e->freed - before) <= 0 && !extent_purge(e))
        return;
    }
}

void extents_purge_to(uint64_t keep) {
  extent_set &dirty = sets[0];
  for (unsigned b = extent_bin_count; b-- > 0;)
    while (dirty.bins[b] && dirty.bytes > keep)
      if (!extent_purge(dirty.bins[b]))
        return;
}

// In address space; much of it is never touched. With 256 MiB, blocks of up to 8 MiB make few system calls.
uint64_t extents_idle_limit() { return (layout_is_compact() ? 32 : 256) * uint64_t{1024} * 1024; }

extent_totals extents_totals() {
  uint64_t dirty = sets[0].bytes, clean = sets[1].bytes, idle = decay_idle_extents();
  uint64_t cached = idle > dirty ? idle - dirty : 0; // in a child it may be off by what was in flight at the fork
  return {mapped_bytes, mapped_bytes - slab_bytes - dirty - clean - cached, cached, slab_bytes, dirty, clean};
}

void extents_for_each_live(void (*f)(void *, const extent &), void *context) {
  page_map_for_each([&](uintptr_t at, const extent &e) {
    if (e.state == extent_state::live && e.address == at)
      f(context, e);
  });
}

void extents_abandon() {
  decay_account_extents(-int64_t(sets[0].bytes));
  sets[0] = sets[1] = {};
  page_map_for_each([](uintptr_t at, extent &e) {
    bool untagged = e.state == extent_state::live && e.address == at && e.tag == 0;   // nobody will get it
    if (untagged || e.state == extent_state::dirty || e.state == extent_state::clean) // nothing joins with these again
      e.state = extent_state::none;
  });
}

} // namespace m9
