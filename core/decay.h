// SPDX-License-Identifier: BSD-2-Clause
//
// When memory goes back to the kernel. Idle memory (slabs wholly free, free extents) is given back once it has been
// idle for decay_ms, by whichever slow path comes by then, at once where there is too much of it (decay_over,
// extents_idle_limit), and where something else grows: what a program takes of the kernel for one size, it gives back
// of another, so that its peak is not the sum of each size's. No helper thread; a program that falls asleep keeps
// little.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

void decay_configure(uint32_t decay_ms);
// Idle memory that came or went.
void decay_account(int64_t slab_bytes);
void decay_account_extents(int64_t bytes);
// Pages that hold nothing yet, and will.
void decay_grew(uint64_t bytes);
uint64_t decay_idle();         // bytes of both that can be given back
uint64_t decay_idle_extents(); // bytes, with what is spare in live ones
bool decay_over();             // more slabs are idle than should be kept
uint32_t decay_now();          // coarse milliseconds, wrapping

// On slow paths, without locks: gives old memory back when a tick is due.
void decay_tick();
// Drains every cache and gives all idle memory back (malloc_trim); true when there was any.
bool decay_everything();

} // namespace m9
