// SPDX-License-Identifier: BSD-2-Clause
//
// The steps by which tool/live_file.cc reads a live file; nobody else includes this. What touches the file owns
// nothing, as it may be left in the middle (tool/guarded.h).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/format.h"
#include "core/view.h"
#include "tool/guarded.h"

namespace m9::tool {

constexpr uint32_t live_table_most = 64; // sections of a file that are looked at

struct live_part {
  uint64_t offset = 0, count = 0; // in the file
  uint32_t entry_size = 0;
  uint64_t place = 0; // in the image
};

// In the order in which they are counted: what is referred to comes after who refers to it, so that it is there.
constexpr std::array live_copied = {format::section_kind::cells, format::section_kind::inherited,
                                    format::section_kind::types, format::section_kind::modules,
                                    format::section_kind::cpus,  format::section_kind::zones,
                                    format::section_kind::notes, format::section_kind::live,
                                    format::section_kind::peak,  format::section_kind::strings};

// A CPU's counters in the file, and which of their pages have memory: to look at a hole through the mapping would give
// it some, or be a SIGBUS where the file system is full. A page that has memory keeps it; at holes is looked each time.
struct live_block {
  enum class page_state : uint8_t { unknown, here, hole };
  uint64_t at = 0, size = 0;
  uint64_t start = UINT64_MAX; // of its first page
  std::array<page_state, 4096> pages{};
};

struct live_reader {
  const mapped_file &file;
  int fd;
  uint64_t page_size;
  std::array<live_part, view_section_kinds> parts{};
  format::header header{};
  const char *failure = nullptr;
  unsigned char *image = nullptr;
  const uint64_t *cell_at = nullptr; // where each cell lies in a CPU's block of the image
  uint64_t block_bytes = 0, cpus_room = 0, image_size = 0;
  std::vector<live_block> blocks; // by CPU, as many as there is room for

  live_reader(const mapped_file &mapped, int descriptor);

  live_part &of(format::section_kind kind) { return parts[static_cast<uint32_t>(kind)]; }
  void fail(const char *what) {
    if (failure == nullptr)
      failure = what;
  }
  bool holds(uint64_t at, uint64_t size) const { return at <= file.size() && size <= file.size() - at; }
  uint64_t load(uint64_t at) const {
    return __atomic_load_n(reinterpret_cast<const uint64_t *>(file.data() + at), __ATOMIC_ACQUIRE);
  }
  uint64_t load_counter(live_block &block, uint64_t at) const;

  // Of an entry in the image.
  unsigned char *entry_at(format::section_kind kind, uint64_t index) {
    return image + of(kind).place + index * of(kind).entry_size;
  }
  template <typename entry> entry read(format::section_kind kind, uint64_t index) {
    entry e{};
    if (index < of(kind).count)
      std::memcpy(&e, entry_at(kind, index), std::min<size_t>(sizeof e, of(kind).entry_size));
    return e;
  }
  uint32_t words_of(const format::cell_entry &cell) {
    return read<format::zone_entry>(format::section_kind::zones, cell.zone).size == 0 ? 4 : 2;
  }

  bool make_room(); // before the counters; false: the file names more CPUs than there are
  void find(format::section_kind wanted);
  void measure();
  void copy_index();
  void copy(const live_part &p);
  void prepare(uint64_t cpu);
  void copy_cell(uint64_t i, uint64_t cpus);
  void copy_counters();
};

} // namespace m9::tool
