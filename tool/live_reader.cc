// SPDX-License-Identifier: BSD-2-Clause
#include "tool/live_reader.h"

#include <cstddef>
#include <initializer_list>

#include <sys/mman.h>
#include <unistd.h>

namespace m9::tool {
namespace {

constexpr uint64_t section_most = 64 << 20; // bytes of one; of those that the library makes 16 MiB is the largest
constexpr uint64_t cpus_most = 8192 + 8;    // of one file

} // namespace

using format::section_kind;
using page_state = live_block::page_state;

live_reader::live_reader(const mapped_file &mapped, int descriptor)
    : file(mapped), fd(descriptor), page_size(static_cast<uint64_t>(::sysconf(_SC_PAGESIZE))) {}

bool live_reader::make_room() {
  if (cpus_room > cpus_most)
    return false;
  blocks.resize(cpus_room);
  return true;
}

uint64_t live_reader::load_counter(live_block &block, uint64_t at) const {
  page_state &page = block.pages[(at - block.start) / page_size];
  if (page == page_state::unknown) {
    unsigned char resident = 0;
    void *start = const_cast<unsigned char *>(file.data()) + at / page_size * page_size;
    page = ::mincore(start, page_size, &resident) == 0 && (resident & 1) != 0 ? page_state::here : page_state::hole;
  }
  if (page == page_state::here)
    return load(at);
  uint64_t value = 0; // a hole, or swapped out
  return ::pread(fd, &value, sizeof value, static_cast<off_t>(at)) == sizeof value ? value : 0;
}

// The count first, then the place: a section that outgrew its place moves before it is counted.
void live_reader::find(section_kind wanted) {
  for (uint32_t i = 0; i < std::min(header.section_count, live_table_most); i++) {
    const uint64_t at = header.sections_offset + uint64_t{i} * header.section_size;
    if (at % 8 != 0 || !holds(at, sizeof(format::section)))
      return fail("the section table does not fit into the file");
    format::section s{};
    std::memcpy(&s, file.data() + at, sizeof s);
    if (s.kind != wanted)
      continue;
    live_part &p = of(wanted);
    p.entry_size = s.entry_size;
    p.count = load(at + offsetof(format::section, count));
    p.offset = load(at + offsetof(format::section, offset));
    if (p.entry_size == 0 || p.offset % 8 != 0 || p.offset > file.size() ||
        p.count > (file.size() - p.offset) / p.entry_size)
      return fail("a section does not fit into the file");
    if (wanted != section_kind::counters && p.count > section_most / p.entry_size)
      return fail("a section is larger than any that a process makes");
    return;
  }
}

void live_reader::measure() {
  std::memcpy(&header, file.data(), sizeof header);
  for (const section_kind kind : live_copied)
    find(kind);
  find(section_kind::counters);
  if (of(section_kind::live).count == 0)
    fail("the section table is damaged");
}

void live_reader::copy_index() {
  for (const section_kind kind : live_copied)
    copy(of(kind));
}

void live_reader::copy(const live_part &p) {
  const uint64_t size = p.count * p.entry_size;
  if (::pread(fd, image + p.place, size, static_cast<off_t>(p.offset)) != static_cast<ssize_t>(size))
    fail("the file was cut short while it was read");
}

// A CPU's block, as its entry has it.
void live_reader::prepare(uint64_t cpu) {
  const live_part &counters = of(section_kind::counters);
  const auto entry = read<format::cpu_entry>(section_kind::cpus, cpu);
  if (entry.offset % 8 != 0 || entry.offset > counters.count * 8 || entry.size > counters.count * 8 - entry.offset)
    return fail("a CPU's block lies outside the counters");
  live_block &block = blocks[cpu];
  const uint64_t at = counters.offset + entry.offset, start = at / page_size * page_size;
  const uint64_t n = (entry.size + page_size - 1) / page_size + 1;
  if (n > block.pages.size())
    return fail("a CPU's block is larger than any that a process makes");
  if (block.start == start)
    std::replace(block.pages.begin(), block.pages.end(), page_state::hole, page_state::unknown);
  else
    block.pages.fill(page_state::unknown);
  block.at = at;
  block.size = entry.size;
  block.start = start;
}

// Of one cell, the frees of all CPUs before any allocs. As they are next to each other in memory, its lines are taken
// from the CPUs that write to them once.
void live_reader::copy_cell(uint64_t i, uint64_t cpus) {
  const auto cell = read<format::cell_entry>(section_kind::cells, i);
  const uint64_t bytes = uint64_t{words_of(cell)} * 8;
  unsigned char *to = image + of(section_kind::counters).place + cell_at[i];
  for (uint64_t c = 0; c < cpus; c++)
    if (cell.offset % 8 != 0 || cell.offset > blocks[c].size || bytes > blocks[c].size - cell.offset)
      return fail("a cell lies outside a CPU's block");
  for (const uint64_t first : {8, 0})
    for (uint64_t c = 0; c < cpus; c++)
      for (uint64_t w = first; w < bytes; w += 16) {
        const uint64_t value = load_counter(blocks[c], blocks[c].at + cell.offset + w);
        std::memcpy(to + c * block_bytes + w, &value, 8);
      }
}

void live_reader::copy_counters() {
  live_part &cpus = of(section_kind::cpus);
  for (uint64_t read_before = 0; read_before != cpus.count && failure == nullptr;) {
    read_before = cpus.count;
    for (uint64_t c = 0; c < cpus.count; c++)
      prepare(c);
    for (uint64_t i = 0; i < of(section_kind::cells).count && failure == nullptr; i++)
      copy_cell(i, cpus.count);
    // What a CPU that was opened since allocated may have been freed on another: so once more, with that CPU.
    find(section_kind::cpus);
    cpus.count = std::min(cpus.count, cpus_room);
    if (failure == nullptr)
      copy(cpus);
  }
}

} // namespace m9::tool
