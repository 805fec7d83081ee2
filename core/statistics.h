// SPDX-License-Identifier: BSD-2-Clause
//
// The statistics as one image in the format of core/format.h, made in memory when they are read. Counters go on while
// it is made; frees are read before allocs. Takes malloc_mtx for a moment; safe in a signal handler, whose thread
// cannot hold it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

struct statistics_about {
  const char *program; // base name
  const char *command; // with arguments
  uint64_t start_ns;
  uint32_t sequence;
};

struct statistics_image {
  unsigned char *data; // pages of its own
  size_t size;         // bytes of the image
  size_t mapped;       // bytes of those pages; 0: in the spare memory
};

// Totals that belong to no type, of which `shared` are operations charged to no CPU.
constexpr unsigned statistics_notes_count = 9;
const char *statistics_note_name(unsigned i);
void statistics_notes(uint64_t *values, uint64_t shared);

// In pages of its own or, where the kernel gives none, in the `spare` bytes that image.data points to. False: no
// memory.
bool statistics_make(const statistics_about &about, statistics_image &image, size_t spare);
void statistics_release(statistics_image &image);

} // namespace m9
