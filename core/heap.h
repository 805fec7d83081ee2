// SPDX-License-Identifier: BSD-2-Clause
//
// The life of the heap: it begins at the first allocation of the process. One before the library's constructor finds
// nothing configured (mode boot: all works, slowly). It begins anew, with the parent's memory and counts, in a child.
#pragma once

#include <cstdint>

#include "core/format.h"
#include "shim/percpu.h"
#include "shim/process.h"

namespace m9 {

struct heap_options {
  bool rseq = true;
  uint32_t decay_ms = 1000;
  uint32_t depth = 8;          // frames that are looked at for who wanted the memory
  uint32_t stack = 0;          // frames of the chains that are types of their own; 0: call sites are
  bool keep_inherited = false; // a child keeps what it took over from its parent (core/inherited.h)
};

// At the head of every slow path.
void heap_begin();
inline void heap_enter() {
  if (!process_ready()) [[unlikely]]
    heap_begin();
}

// By the constructor, once: at once, if the process has allocated by then, or else when it begins, so that programs
// that never allocate pay nothing.
void heap_configure(const heap_options &as);
format::run_mode heap_mode();
const char *heap_mode_reason(); // why not rseq; empty otherwise
bool heap_is_child();           // made by fork from a process of ours

// The verbs that this thread may use now. Between fork handlers none, so that all is counted by percpu_add.
inline verbs heap_verbs() { return process_is_guest() || process_is_paused() ? verbs::none : percpu_verbs; }

// Between the two no other thread begins a malloc or free, and signals are blocked; each may finish the one it is in.
void heap_pause();
void heap_resume();

// The live file (core/live.h) is made later, by one of the next calls.
void heap_defer_live();
void heap_settle_live(); // now, if it is still to be made

// fork, in this order. Between prepare and the others all locks are held and signals blocked.
void heap_fork_prepare();
void heap_fork_parent();
void heap_fork_child();

// Totals that belong to no type.
enum class heap_note : uint32_t {
  foreign_frees,
  size_mismatches,
  in_flight_at_fork,
  inherited_unknown,
  wrong_types,
  steps_unknown,
  chains_folded,
  count
};
void heap_note_add(heap_note n, uint64_t by = 1);
uint64_t heap_note_read(heap_note n);

} // namespace m9
