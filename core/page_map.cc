// SPDX-License-Identifier: BSD-2-Clause
#include "core/page_map.h"

#include <atomic>

#include "core/meta.h"

namespace m9 {
namespace {

constexpr size_t roots = size_t{1} << (address_bits - middle_shift);
constexpr size_t middles = size_t{1} << (middle_shift - leaf_shift);

struct middle {
  std::atomic<extent *> leaf[middles]; // (a) release when published, acquire when read
};
std::atomic<middle *> root[roots]; // (a) as above
unsigned page_shift = 12;          // (i)

std::atomic<extent *> *slot_find(uintptr_t address) {
  if (address >> address_bits)
    return nullptr;
  middle *m = root[address >> middle_shift].load(std::memory_order_acquire);
  return m ? &m->leaf[(address >> leaf_shift) % middles] : nullptr;
}

} // namespace

void page_map_start(size_t page_bytes) { page_shift = unsigned(__builtin_ctzll(page_bytes)); }
unsigned page_map_page_shift() { return page_shift; }

extent *page_map_find(uintptr_t address) {
  auto *slot = slot_find(address);
  extent *leaf = slot ? slot->load(std::memory_order_acquire) : nullptr;
  return leaf ? leaf + ((address & ((uintptr_t{1} << leaf_shift) - 1)) >> page_shift) : nullptr;
}

bool page_map_cover(uintptr_t address, size_t size) {
  constexpr uintptr_t leaf_bytes = uintptr_t{1} << leaf_shift;
  if ((address + size) >> address_bits)
    return false;
  for (uintptr_t at = address & ~(leaf_bytes - 1); at < address + size; at += leaf_bytes) {
    auto &m = root[at >> middle_shift];
    if (!m.load(std::memory_order_relaxed)) {
      auto *fresh = meta_new<middle>();
      if (!fresh)
        return false;
      m.store(fresh, std::memory_order_release);
    }
    auto &leaf = *slot_find(at);
    if (!leaf.load(std::memory_order_relaxed)) {
      auto *fresh = static_cast<extent *>(meta_alloc(sizeof(extent) << (leaf_shift - page_shift)));
      if (!fresh)
        return false;
      leaf.store(fresh, std::memory_order_release);
    }
  }
  return true;
}

uintptr_t page_map_next_leaf(uintptr_t from) {
  constexpr uintptr_t leaf_bytes = uintptr_t{1} << leaf_shift;
  for (uintptr_t at = from & ~(leaf_bytes - 1); at >> address_bits == 0;) {
    auto *slot = slot_find(at);
    if (!slot)
      at = (at | ((uintptr_t{1} << middle_shift) - 1)) + 1;
    else if (slot->load(std::memory_order_acquire))
      return at;
    else
      at += leaf_bytes;
  }
  return 0;
}

} // namespace m9
