// SPDX-License-Identifier: BSD-2-Clause
//
// What a live file has besides counters: the header, and sections that only grow. Each begins in a small room of the
// first pages, all that small programs need; when that is full it is copied to a part of the file that is far larger
// than it will be and has no memory yet. An entry is written, then its section's offset is stored if it moved, then the
// count; all release. A reader loads count, then offset (acquire), and so sees whole entries only; what a section left
// behind stays as it was. All writers hold malloc_mtx, but for single words.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/cell.h"
#include "core/format.h"

namespace m9 {

extern M9_HIDDEN bool live_on; // there is a file, and the index is in it (t)

struct live_index_about {
  const char *program, *command;
  uint64_t start_ns, parent, pid_namespace;
};

constexpr uint32_t live_slots_most = 128; // blocks of CPUs, of as many as the CPUs section's page can name

// Bytes of the index, of which `small` needs less address space.
uint64_t live_index_bytes(bool small);
constexpr uint64_t live_index_first = 12 * 1024; // bytes of it that must be allocated before it starts

// An index without types, cells and CPUs. `at` is a mapping of so many bytes.
void live_index_start(uintptr_t at, bool small, uint32_t slots, const live_index_about &about) M9_REQUIRES(malloc_mtx);
// Adds all modules, types and cells that there are, and from then on each as it is made.
void live_index_publish() M9_REQUIRES(malloc_mtx);

void live_cpu_add(int cpu, uint32_t slot) M9_REQUIRES(malloc_mtx);
void live_incomplete(const char *why) M9_REQUIRES(malloc_mtx);
void live_ended();

// These do nothing where there is no file. A type is added once, in the order in which types were made.
void live_type_made(const malloc_type &t) M9_REQUIRES(malloc_mtx);
void live_type_changed(const malloc_type &t, bool renamed) M9_REQUIRES(malloc_mtx);
void live_module_changed(uint32_t number) M9_REQUIRES(malloc_mtx); // or made
void live_cell_made(uint64_t cell, const cell_info &info) M9_REQUIRES(malloc_mtx);
void live_highuse(const malloc_type_internal &t, uint64_t bytes);
void live_peak(uint64_t most, uint64_t slack);
void live_zone(unsigned c); // under its keg's lock
void live_refresh();        // what no single event tells: notes, failures, free large memory

} // namespace m9
