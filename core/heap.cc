// SPDX-License-Identifier: BSD-2-Clause
#include "core/heap.h"

#include "core/cell.h"
#include "core/chain.h"
#include "core/decay.h"
#include "core/declared.h"
#include "core/extent.h"
#include "core/inherited.h"
#include "core/keg.h"
#include "core/layout.h"
#include "core/live.h"
#include "core/malloc_type.h"
#include "core/meta.h"
#include "core/site.h"
#include "core/stack.h"
#include "core/stack_node.h"
#include "core/zone_plan.h"
#include "shim/lock.h"
#include "shim/pages.h"
#include "shim/panic.h"
#include "shim/standard_error.h"
#include "shim/system.h"

namespace m9 {
namespace {

constinit mutex start_lock(lock_rank::process); // the fields below
bool begun, wanted, keep_inherited, child;
heap_options options;                           // (i) by the constructor: then `wanted`
format::run_mode mode = format::run_mode::boot; // (i) from configure() on; boot: unarmed
const char *mode_reason = "";
std::atomic<uint64_t> notes[unsigned(heap_note::count)]; // (a) relaxed
uint64_t fork_mask;                                      // signal mask to go back to after fork
bool fork_prepared;                                      // the locks are ours: set between prepare and child
uint64_t pause_mask;                                     // signal mask to go back to after a pause (start_lock)

// What a start uses nearly all of: a fault for each page costs more than the page.
void tables_populate() {
  constexpr uintptr_t page = 4096;
  auto from = reinterpret_cast<uintptr_t>(&kegs), first = from & ~(page - 1);
  pages_populate(first, (from + sizeof kegs - first + page - 1) & ~(page - 1), true);
  pages_populate(reinterpret_cast<uintptr_t>(&lookups), sizeof lookups, true);
}

void arm() {
  if (mode == format::run_mode::rseq)
    process_arm(small_size_max + 1, zone_size_max + 1, zones_bytes);
}

// In a child that no fork handler ran in (_Fork, clone): the locks may belong to threads that do not exist here, and
// what they protect may be half changed. What is lost is memory, never a count.
void locks_recover() {
  fork_thread.store(0, std::memory_order_relaxed);
  if (meta_lock.held())
    meta_abandon();
  meta_lock.reset();
  if (extents_lock.held())
    extents_abandon();
  extents_lock.reset();
  for (unsigned n = 0; n < zones_all; n++)
    if (kegs[n].lock.held()) {
      keg_abandon(kegs[n], n);
      kegs[n].lock.reset();
    }
  if (malloc_mtx.held()) {
    malloc_types_abandon();
    cells_abandon();
    stack_nodes_abandon();
  }
  malloc_mtx.reset();
}

// Before this process, a child with one thread, counts anything. What belongs to no cell starts from zero here.
void take_over() M9_UNCHECKED {
  for (std::atomic<uint64_t> &n : notes)
    n.store(0, std::memory_order_relaxed);
  for (keg &k : kegs)
    k.fails = k.sleeps = 0;
  if (!(fork_prepared && live_wanted() ? inherited_adopt() || inherited_take() : inherited_take()))
    heap_note_add(heap_note::inherited_unknown);
}

// Most children of fork call exec soon, and many programs end soon. So they count in private memory, and on the slow
// paths only, for their first calls or milliseconds; then they make their live file. Until then they are not `ready`.
constexpr uint32_t pending_calls = 64, pending_ms = 8;
uint64_t pending_since; // clock_coarse_ms()

bool is_early() {
  uint32_t left = fast.pending.load(std::memory_order_relaxed);
  if (left <= 1 || clock_coarse_ms() - pending_since > pending_ms)
    return false;
  fast.pending.compare_exchange_strong(left, left - 1, std::memory_order_relaxed);
  return true;
}

void configure() M9_REQUIRES(start_lock) {
  decay_configure(options.decay_ms);
  bool other_depth = chain_depth != options.depth;
  chain_depth = chain_depth_find = options.depth;
  if (other_depth) { // what was found so far is of longer chains
    locked_inside types(malloc_mtx);
    sites_forget_all();
  }
  if (options.stack != 0) { // a chain is named after one of its own frames
    chain_depth_find = options.stack < options.depth ? options.stack : options.depth;
    stacks_start(options.stack);
  }
  keep_inherited = options.keep_inherited;
  if (layout_is_compact()) {
    mode = format::run_mode::compact;
    mode_reason = "the address space is limited";
  } else if (!options.rseq) {
    mode = format::run_mode::fallback;
    mode_reason = "MALLOC9_CONF says rseq:false";
  } else {
    mode = percpu_rseq_usable(mode_reason) ? format::run_mode::rseq : format::run_mode::fallback;
  }
  percpu_use(mode == format::run_mode::rseq       ? verbs::rseq
             : mode == format::run_mode::fallback ? verbs::fallback
                                                  : verbs::none);
  arm();
}

void live_file_begin() M9_REQUIRES(start_lock) {
  fast.pending.store(1, std::memory_order_relaxed); // other threads wait
  {
    locked_inside types(malloc_mtx);
    live_begin();
  }
  process_end_pending();
  arm();
}

} // namespace

void heap_begin() {
  if (is_early())
    return;
  locked guard(start_lock);
  if (fast.pending.load(std::memory_order_relaxed) != 0)
    return live_file_begin();
  if (process_ready() || process_is_paused()) // the second: this thread is between fork handlers
    return;
  bool first = !begun;
  if (first) {
    process_prepare_switch();
    tables_populate();
    layout_start();
    lookups_start();
    percpu_open_range(-1, 0, 4096);
    percpu_mark_opened(-1);
    CHECK(sites_start(), "no memory to start with");
    begun = true;
  } else {
    child = true;
    process_begin_child();
    standard_error_drop();
    if (!fork_prepared)
      locks_recover();
    if (keep_inherited || live_wanted())
      take_over();
    if (live_wanted()) {
      locked_inside types(malloc_mtx);
      live_child();
      pending_since = clock_coarse_ms();
      process_divert_reset(scope_now != nullptr);
      process_set_pending(pending_calls);
      return;
    }
  }
  process_divert_reset(scope_now != nullptr); // of a child's threads there is only this one
  process_set_ready();
  if (first && wanted)
    configure();
  else
    arm();
}

void heap_defer_live() {
  heap_enter();
  locked guard(start_lock);
  pending_since = clock_coarse_ms();
  process_back_to_pending(pending_calls);
}

void heap_settle_live() {
  if (fast.pending.load(std::memory_order_relaxed) == 0)
    return;
  locked guard(start_lock);
  if (fast.pending.load(std::memory_order_relaxed) != 0)
    live_file_begin();
}

void heap_configure(const heap_options &as) {
  {
    locked guard(start_lock);
    options = as;
    wanted = true;
    if (!begun)
      return;
  }
  heap_enter();
  locked guard(start_lock);
  configure();
}

format::run_mode heap_mode() { return mode; }
const char *heap_mode_reason() { return mode_reason; }
bool heap_is_child() { return child; }

void heap_pause() M9_UNCHECKED {
  uint64_t mask = signals_block();
  start_lock.lock();
  pause_mask = mask;
  process_pause();
}

void heap_resume() M9_UNCHECKED {
  uint64_t mask = pause_mask;
  process_resume();
  start_lock.unlock();
  signals_restore(mask);
}

void heap_fork_prepare() M9_UNCHECKED {
  heap_enter();
  if (live_wanted())
    heap_pause();
  uint64_t mask = signals_block();
  malloc_mtx.lock();
  for (keg &k : kegs)
    k.lock.lock();
  extents_lock.lock();
  meta_lock.lock();
  fork_mask = mask; // under the locks: two threads may fork at once
  fork_prepared = true;
  if (live_wanted())
    live_fork_prepare();
  fork_thread.store(reinterpret_cast<uintptr_t>(__builtin_thread_pointer()), std::memory_order_relaxed);
}

void heap_fork_parent() M9_UNCHECKED {
  fork_prepared = false;
  fork_thread.store(0, std::memory_order_relaxed);
  live_fork_done();
  meta_lock.unlock();
  extents_lock.unlock();
  for (keg &k : kegs)
    k.lock.unlock();
  uint64_t mask = fork_mask;
  malloc_mtx.unlock();
  signals_restore(mask);
  if (live_wanted())
    heap_resume();
}

void heap_fork_child() M9_UNCHECKED {
  // Not through heap_begin's recovery: nothing is half changed. Threads that wait for a lock do not exist here.
  meta_lock.reset();
  extents_lock.reset();
  for (keg &k : kegs)
    k.lock.reset();
  malloc_mtx.reset();
  start_lock.reset();
  fork_thread.store(0, std::memory_order_relaxed);
  heap_enter();
  fork_prepared = false;
  signals_restore(live_wanted() ? pause_mask : fork_mask);
}

void heap_note_add(heap_note n, uint64_t by) { notes[unsigned(n)].fetch_add(by, std::memory_order_relaxed); }
uint64_t heap_note_read(heap_note n) { return notes[unsigned(n)].load(std::memory_order_relaxed); }

} // namespace m9
