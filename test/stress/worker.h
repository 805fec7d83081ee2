// SPDX-License-Identifier: BSD-2-Clause
//
// A worker thread of the exactness program: random allocations, frees of what other threads allocated, reallocs,
// changes of CPU, and a 1 kHz timer of its own whose handler does the same and sometimes leaves by siglongjmp.
#pragma once

#include "books.h"

#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <pthread.h>

struct worker {
  static constexpr uint32_t slots = 300;
  static constexpr uint32_t handler_slots = 24;

  uint32_t number;     // and the context of its normal flow
  uint64_t operations; // to be done
  uint64_t done;
  uint64_t random; // state of the generator of its normal flow
  uint64_t handler_random;
  uint64_t handler_runs;
  uint64_t jumps;
  books::item held[slots];
  books::item handler_held[handler_slots];
  sigjmp_buf jump;
  // Set while the normal flow is inside an operation whose bookkeeping is not complete: no jump out of it.
  volatile sig_atomic_t busy;
  volatile sig_atomic_t jump_ready;
  volatile sig_atomic_t in_handler;
  timer_t timer;
  pthread_t thread;
};

constexpr uint32_t max_workers = 16;
extern worker workers[max_workers];
extern uint32_t worker_count;
extern volatile sig_atomic_t handlers_paused; // handlers return at once; see pause_handlers

void workers_prepare(uint32_t count, uint64_t operations, uint64_t seed);
void workers_start();
void workers_join();
bool workers_running();
// Returns when no handler runs; they stay out until resume_handlers.
void pause_handlers();
void resume_handlers();
// Gives back half of what the workers left, so that both sums are tested.
void workers_clear();
// Operations of a forked child, in context `context`, on its own call sites and on blocks from the mailboxes.
void child_operations(uint32_t context, uint64_t operations, uint64_t seed);
