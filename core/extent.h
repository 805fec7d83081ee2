// SPDX-License-Identifier: BSD-2-Clause
//
// Extents: runs of pages for large allocations and, in compact mode, for slabs. They tile chunks that come from the
// kernel; a page map of three levels leads from any address to the record of its page. Valid are the records of an
// extent's first and last page (and of all pages of a slab's), whose `address` names the extent's start.
//
// A live extent becomes a cached one, and back, without the lock, by whoever has it in hand; both are in no bin. A live
// one may have more bytes than its type counts: what is spare is accounted with what is cached, but stays while it
// lives.
//
// Invariants, under extents_lock: neighbours are never both free and equally clean; a free extent stands in one bin of
// its set; clean extents read as zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/keg.h"
#include "shim/lock.h"

namespace m9 {

enum class extent_state : uint8_t { none, clean, dirty, live, cached, slab };

struct extent {
  extent *next, *prev; // in its bin, while free
  uintptr_t address;   // of the first page
  slab *owner;         // of a slab's pages
  uint32_t pages;
  union {
    uint32_t freed;   // while dirty: decay_now() when it became so
    uint32_t counted; // while live: pages that its type counts; while cached: all
  };
  uint16_t tag; // of a live large allocation
  extent_state state;
  bool moved;  // its pages came by mremap: its mapping merges with no other
  bool hidden; // not part of core dumps
};
static_assert(sizeof(extent) == 48);

extern mutex extents_lock;

// A live extent of at least `size` bytes at a multiple of `alignment` (a power of two); nullptr when memory is refused.
// `zeroed` says whether it reads as zeros.
extent *extent_take(size_t size, size_t alignment, bool &zeroed) M9_REQUIRES(extents_lock);
void extent_give(extent *e) M9_REQUIRES(extents_lock);
// Changes a live extent's size where it stands; false when what follows is not free. `zeroed` as above, for the new
// part.
bool extent_resize(extent *e, size_t size) M9_REQUIRES(extents_lock);

// Without the lock: the live extent that starts at an address, made a cached one, for which of two that try only one
// gets it, and the bytes that its type counts; nullptr: there is none. And back, of which `bytes` are no longer idle.
extent *extent_claim(uintptr_t address, size_t &counted);
void extent_hand_out(extent &e, size_t bytes, uint16_t tag);
// A cached extent as a number of 32 bits; false: it lies too far from the first for that.
bool extent_number(const extent &e, uint32_t &number);
extent *extent_of_number(uint32_t number);

// The live extent that starts at or contains an address, or nullptr. `start` only: that starts there.
extent *extent_at(uintptr_t address) M9_REQUIRES(extents_lock);
extent *extent_around(uintptr_t address) M9_REQUIRES(extents_lock);
// Whether a large allocation once started at this address.
bool extent_was_freed(uintptr_t address) M9_REQUIRES(extents_lock);

size_t extent_bytes(const extent &e);
size_t extent_counted(const extent &e); // of a live one
uint64_t extents_spare();               // bytes that live extents have and no type counts
inline void *extent_address(const extent &e) { return reinterpret_cast<void *>(e.address); }

// Compact mode. These take the lock themselves, below a keg's.
void *extent_take_slab(size_t bytes, slab *owner);
void extent_give_slab(void *p, size_t bytes);
slab *extent_slab_of(uintptr_t address);

// Gives free memory back: extents dirty since `before` or earlier, until `most` bytes are given; or until at most
// `keep` bytes are dirty.
void extents_purge_old(uint32_t before, uint64_t most) M9_REQUIRES(extents_lock);
void extents_purge_to(uint64_t keep) M9_REQUIRES(extents_lock);

// Idle extents (dirty and cached) beyond this are given back at once. Large blocks come and go in large steps, so it is
// wide.
uint64_t extents_idle_limit();

struct extent_totals {
  uint64_t mapped, live, cached, slabs, dirty, clean; // bytes; what is spare in live ones is with the cached
};
extent_totals extents_totals() M9_REQUIRES(extents_lock);
// Calls f for every live large allocation.
void extents_for_each_live(void (*f)(void *context, const extent &), void *context) M9_REQUIRES(extents_lock);
// After a fork that left the lock to a thread that does not exist here.
void extents_abandon();

} // namespace m9
