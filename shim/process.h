// SPDX-License-Identifier: BSD-2-Clause
//
// What this process is to us, and the switch that turns the fast paths off. The switch lies on a page that the kernel
// clears in every child, however it was made: with its limits at zero no size is small and no pointer is ours, so the
// first malloc and the first free of a child take the slow path, as do those before start-up, in compact mode, in
// debug modes and while a vfork child shares our memory. The fast paths pay one compare with memory for all of it.
#pragma once

#include <atomic>
#include <cstdint>

#include "shim/percpu_layout.h"

namespace m9 {

struct alignas(4096) fast_switch {
  char unused[fast_line * 64 + 8];
  uint64_t small_limit;                // malloc: sizes below take the small fast path (a)
  uint64_t medium_limit;               // malloc: sizes below take the medium fast path (a)
  uint64_t zones_limit;                // free: offsets into the zones below take the fast path (a)
  std::atomic<uint32_t> ready;         // 1: this process, and no parent of it, was set up here
  std::atomic<uint32_t> vfork_windows; // threads that wait for a vfork child (process lock)
  std::atomic<uint32_t> pending;       // calls until a child makes its live file (core/heap.cc), 0: it need not
  std::atomic<uint32_t> paused;        // 1: between process_pause and process_resume (process lock)
};

extern M9_HIDDEN fast_switch fast; // its own page; wiped on fork

inline bool process_ready() { return fast.ready.load(std::memory_order_acquire) != 0; } // pairs with process_set_ready

void process_prepare_switch(); // has the page wiped on fork
void process_begin_child();    // in a child of fork, first: whoever held our lock does not exist here
void process_set_ready();      // notes who we are; the fast paths stay off
// The same, but all calls go to heap_begin: so many, until process_end_pending. Or back to that, when ready.
void process_set_pending(uint32_t calls);
void process_back_to_pending(uint32_t calls);
void process_end_pending();

// Turns the fast paths on (until the next vfork or fork) or off.
void process_arm(uint64_t small_limit, uint64_t medium_limit, uint64_t zones_limit);
void process_disarm();

// Around the making of a child that shares our memory (vfork, clone with CLONE_VM): the fast paths are off in between.
void process_share_begin();
void process_share_end();

// A thread whose allocations must be looked at one by one (core/declared.h): while there is any, malloc's fast paths
// are off for all threads; free's stay on. After the last, they stay off for so many calls of malloc more: to turn them
// on and off takes four system calls, and such threads come and go. In a child, how many it has is said anew.
constexpr uint32_t divert_calls_most = 64;
extern M9_HIDDEN std::atomic<uint32_t> divert_calls; // that are left; 0: malloc's fast paths are on (a) relaxed
void process_divert_begin();
void process_divert_end();
void process_divert_reset(uint32_t threads);
void process_divert_settle();
inline void process_divert_call() { // at malloc's slow paths
  if (divert_calls.load(std::memory_order_relaxed) != 0)
    process_divert_settle();
}

// Sends all threads, at their next malloc or free, to heap_begin, to wait there for a lock that the caller holds. Each
// may still finish the one that it is in.
void process_pause();
void process_resume();
inline bool process_is_paused() { return fast.paused.load(std::memory_order_relaxed) != 0; }

// True in a child that shares the memory of a process of ours. Its rseq area is the
// parent's and dead, so it must not use the verbs.
bool process_is_guest();
// Whether this process never had a second thread, as far as libc says; false where it does not.
bool process_single_threaded();
// The same at any time and at the cost of a system call, for what ends a process.
bool process_is_another();

} // namespace m9
