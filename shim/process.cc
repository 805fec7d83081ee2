// SPDX-License-Identifier: BSD-2-Clause
#include "shim/process.h"

#include <cerrno>

#include "shim/glibc.h"
#include "shim/lock.h"
#include "shim/pages.h"
#include "shim/system.h"

namespace m9 {

constinit fast_switch fast = {};
constinit std::atomic<uint32_t> divert_calls{0};

namespace {

constinit mutex process_lock(lock_rank::process); // the fields below, and `fast`
uint32_t own_pid;                                 // (i) until a fork
uint64_t armed_small, armed_medium, armed_zones;  // limits to go back to; zero while off
bool prepared;                                    // the page of `fast` is wiped on fork
uint32_t paused_ready;                            // what fast.ready was before a pause
std::atomic<uint32_t> diverted;                   // threads that want malloc's fast paths off (a)
std::atomic<bool> applying;                       // limits_apply looks at `diverted` or acts on what it saw (a)

void limits_store(uint64_t small, uint64_t medium, uint64_t zones) {
  std::atomic_ref(fast.small_limit).store(small, std::memory_order_relaxed);
  std::atomic_ref(fast.medium_limit).store(medium, std::memory_order_relaxed);
  std::atomic_ref(fast.zones_limit).store(zones, std::memory_order_relaxed);
}

bool malloc_limits_zero() {
  return std::atomic_ref(fast.small_limit).load() == 0 && std::atomic_ref(fast.medium_limit).load() == 0;
}

// Once, before anything is written there. Renewed only where the kernel refuses, as it does for a file's page.
void switch_prepare() M9_REQUIRES(process_lock) {
  auto page = reinterpret_cast<uintptr_t>(&fast);
  if (!prepared && !pages_wipe_on_fork(page, sizeof fast) && pages_renew(page, sizeof fast))
    pages_wipe_on_fork(page, sizeof fast);
  prepared = true;
}

// Sequentially consistent, as in process_divert_begin: that one either is seen here, or sees that we are at work.
void limits_apply() M9_REQUIRES(process_lock) {
  applying.store(true);
  const bool off = fast.vfork_windows.load(std::memory_order_relaxed) != 0 || process_is_paused();
  const bool divert = off || diverted.load() != 0;
  limits_store(divert ? 0 : armed_small, divert ? 0 : armed_medium, off ? 0 : armed_zones);
  applying.store(false);
}

} // namespace

void process_prepare_switch() {
  locked guard(process_lock);
  switch_prepare();
}

void process_begin_child() { process_lock.reset(); }

void process_set_pending(uint32_t calls) {
  if (fast.vfork_windows.load(std::memory_order_relaxed) == 0) // else this may be the child, and the pid is noted
    own_pid = process_id();
  fast.pending.store(calls, std::memory_order_relaxed);
}

void process_back_to_pending(uint32_t calls) {
  process_disarm();
  fast.pending.store(calls, std::memory_order_relaxed);
  fast.ready.store(0, std::memory_order_release); // pairs with process_ready
}

void process_end_pending() {
  fast.ready.store(1, std::memory_order_release); // pairs with process_ready
  fast.pending.store(0, std::memory_order_relaxed);
}

void process_set_ready() {
  process_set_pending(0);
  fast.ready.store(1, std::memory_order_release); // pairs with process_ready
}

void process_arm(uint64_t small_limit, uint64_t medium_limit, uint64_t zones_limit) {
  locked guard(process_lock);
  armed_small = small_limit;
  armed_medium = medium_limit;
  armed_zones = zones_limit;
  limits_apply();
}

void process_pause() {
  locked guard(process_lock);
  fast.paused.store(1, std::memory_order_relaxed);
  limits_apply();
  paused_ready = fast.ready.load(std::memory_order_relaxed);
  fast.ready.store(0, std::memory_order_release); // pairs with process_ready
}

void process_resume() {
  locked guard(process_lock);
  fast.paused.store(0, std::memory_order_relaxed);
  fast.ready.store(paused_ready, std::memory_order_release); // pairs with process_ready
  limits_apply();
}

void process_disarm() { process_arm(0, 0, 0); }

bool process_is_guest() { return fast.vfork_windows.load(std::memory_order_acquire) != 0 && process_id() != own_pid; }

bool process_is_another() {
  bool known = process_ready() || fast.pending.load(std::memory_order_relaxed) != 0 ||
               fast.vfork_windows.load(std::memory_order_acquire) != 0;
  return known && process_id() != own_pid;
}

void process_share_begin() {
  locked guard(process_lock);
  switch_prepare();
  if (!process_ready() && fast.pending.load(std::memory_order_relaxed) == 0)
    own_pid = process_id();
  // Release: pairs with process_is_guest, in the child and on other threads.
  fast.vfork_windows.fetch_add(1, std::memory_order_release);
  limits_store(0, 0, 0);
}

void process_share_end() {
  locked guard(process_lock);
  if (fast.vfork_windows.fetch_sub(1, std::memory_order_release) == 1)
    limits_apply();
}

void process_divert_begin() {
  diverted.fetch_add(1);
  divert_calls.store(divert_calls_most, std::memory_order_relaxed); // after the line above: see settle
  if (!applying.load() && malloc_limits_zero())
    return;
  locked guard(process_lock);
  limits_apply();
}

void process_divert_end() { diverted.fetch_sub(1); }

// Whoever takes the last call applies the limits. A thread that begins in between has set the number of calls again.
void process_divert_settle() {
  uint32_t left = divert_calls.load(std::memory_order_relaxed);
  if (diverted.load() != 0 || left == 0 ||
      !divert_calls.compare_exchange_strong(left, left - 1, std::memory_order_relaxed) || left != 1)
    return;
  locked guard(process_lock);
  limits_apply();
}

void process_divert_reset(uint32_t threads) {
  diverted.store(threads);
  divert_calls.store(threads ? divert_calls_most : 0, std::memory_order_relaxed);
  applying.store(false);
}

bool process_single_threaded() { return &__libc_single_threaded && __libc_single_threaded != 0; }

// Called by the vfork of shim/arch before its system call, and after it in the parent.
extern "C" M9_HIDDEN void m9_vfork_enter() { process_share_begin(); }
extern "C" M9_HIDDEN long m9_vfork_leave(long result) {
  process_share_end();
  if (result >= 0)
    return result;
  errno = int(-result);
  return -1;
}

} // namespace m9
