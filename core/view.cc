// SPDX-License-Identifier: BSD-2-Clause
//
// Checks and reads statistics; see view.h. Offsets are 64-bit throughout and every sum of two is checked by a
// subtraction from something known to be larger.
#include "core/view.h"

namespace m9 {
namespace {

using format::section_kind;

constexpr view_error fine = {nullptr, 0};

constexpr uint64_t known_entry_size[view_section_kinds] = {
    0,
    1,
    sizeof(format::module_entry),
    sizeof(format::type_entry),
    sizeof(format::cell_entry),
    sizeof(format::cpu_entry),
    sizeof(format::zone_entry),
    sizeof(format::note_entry),
    8,
    sizeof(format::inherited_entry),
    sizeof(format::inherited_entry),
    sizeof(format::chain_entry),
    sizeof(format::live_entry),
    sizeof(format::peak_entry),
};

constexpr const char *overflow_text[view_section_kinds] = {
    nullptr,
    "the strings do not fit into the file",
    "the modules do not fit into the file",
    "the types do not fit into the file",
    "the cells do not fit into the file",
    "the CPUs do not fit into the file",
    "the zones do not fit into the file",
    "the notes do not fit into the file",
    "the counters do not fit into the file",
    "the inherited counts do not fit into the file",
    "the inherited counts do not fit into the file",
    "the chains do not fit into the file",
    "the live file's state does not fit into the file",
    "the peak does not fit into the file",
};

bool fits(uint64_t offset, uint64_t length, uint64_t limit) { return offset <= limit && length <= limit - offset; }

const view_section &section_of(const statistics_view &view, section_kind kind) {
  return view.sections[static_cast<uint32_t>(kind)];
}

uint64_t entry_offset(const statistics_view &view, section_kind kind, uint64_t index) {
  const view_section &s = section_of(view, kind);
  return s.offset + index * s.entry_size;
}

template <typename entry> entry read_at(const statistics_view &view, uint64_t offset) {
  entry e = {};
  if (fits(offset, sizeof e, view.size))
    __builtin_memcpy(&e, view.data + offset, sizeof e);
  return e;
}

template <typename entry> entry read_entry(const statistics_view &view, section_kind kind, uint32_t index) {
  return index < section_of(view, kind).count ? read_at<entry>(view, entry_offset(view, kind, index)) : entry{};
}

bool text_is_valid(const statistics_view &view, format::text t) {
  return t.size <= view_max_text && fits(t.offset, t.size, section_of(view, section_kind::strings).count);
}

view_error check_header(statistics_view &view) {
  if (view.size == 0)
    return {"the file is empty", 0};
  const uint64_t magic_seen = view.size < sizeof format::magic ? view.size : sizeof format::magic;
  if (__builtin_memcmp(view.data, format::magic, magic_seen) != 0)
    return {"not a statistics file of malloc9", 0};
  if (view.size < sizeof(format::header))
    return {"the file is cut short: its header is not complete", view.size};
  view.header = read_at<format::header>(view, 0);
  const format::header &h = view.header;
  if (h.byte_order == __builtin_bswap32(format::byte_order_mark))
    return {"written on a machine of the other byte order", offsetof(format::header, byte_order)};
  if (h.version != format::version)
    return {"written by another version of malloc9, in a format that this one does not know",
            offsetof(format::header, version)};
  if (h.byte_order != format::byte_order_mark)
    return {"the byte order mark is damaged", offsetof(format::header, byte_order)};
  if (h.header_size < sizeof(format::header))
    return {"the header is smaller than its version's", offsetof(format::header, header_size)};
  if (h.file_size > view.size)
    return {"the file is cut short", view.size};
  if (h.header_size > h.file_size)
    return {"the header is larger than the file", offsetof(format::header, header_size)};
  if (static_cast<uint32_t>(h.mode) > static_cast<uint32_t>(format::run_mode::compact))
    return {"an unknown mode", offsetof(format::header, mode)};
  view.size = h.file_size;
  return fine;
}

view_error check_section(statistics_view &view, uint64_t at) {
  const auto s = read_at<format::section>(view, at);
  const auto kind = static_cast<uint32_t>(s.kind);
  if (kind == 0 || kind >= view_section_kinds || known_entry_size[kind] == 0)
    return fine; // from a later version
  view_section &known = view.sections[kind];
  if (known.entry_size != 0)
    return {"a section is there twice", at};
  const bool fixed = s.kind == section_kind::strings || s.kind == section_kind::counters;
  if (fixed ? s.entry_size != known_entry_size[kind] : s.entry_size < known_entry_size[kind])
    return {"a section has entries of a wrong size", at + offsetof(format::section, entry_size)};
  if (s.offset % 8 != 0)
    return {"a section does not start at a multiple of 8", at + offsetof(format::section, offset)};
  if (s.offset > view.size || s.count > (view.size - s.offset) / s.entry_size)
    return {overflow_text[kind], at + offsetof(format::section, count)};
  if (!fixed && s.count >= 0xffffffff)
    return {"a section has too many entries", at + offsetof(format::section, count)};
  known = {s.offset, s.count, s.entry_size};
  return fine;
}

view_error check_sections(statistics_view &view) {
  const format::header &h = view.header;
  if (h.section_size < sizeof(format::section))
    return {"the entries of the section table are too small", offsetof(format::header, section_size)};
  if (h.sections_offset % 8 != 0)
    return {"the section table does not start at a multiple of 8", offsetof(format::header, sections_offset)};
  if (!fits(h.sections_offset, uint64_t{h.section_count} * h.section_size, view.size))
    return {"the section table does not fit into the file", offsetof(format::header, sections_offset)};
  for (uint32_t i = 0; i < h.section_count; i++) {
    const view_error e = check_section(view, h.sections_offset + uint64_t{i} * h.section_size);
    if (e.what)
      return e;
  }
  return fine;
}

view_error check_header_texts(const statistics_view &view) {
  if (!text_is_valid(view, view.header.program))
    return {"the program's name lies outside the strings", offsetof(format::header, program)};
  if (!text_is_valid(view, view.header.mode_reason))
    return {"the mode's reason lies outside the strings", offsetof(format::header, mode_reason)};
  if (!text_is_valid(view, view.header.command))
    return {"the command lies outside the strings", offsetof(format::header, command)};
  return fine;
}

view_error check_modules(const statistics_view &view) {
  for (uint32_t i = 0; i < view_count(view, section_kind::modules); i++) {
    const format::module_entry m = view_module(view, i);
    const uint64_t at = entry_offset(view, section_kind::modules, i);
    if (!text_is_valid(view, m.path))
      return {"a module's path lies outside the strings", at};
    if (m.build_id_size > sizeof m.build_id)
      return {"a module's build-id is too long", at + offsetof(format::module_entry, build_id_size)};
  }
  return fine;
}

view_error check_types(const statistics_view &view) {
  const uint32_t modules = view_count(view, section_kind::modules);
  for (uint32_t i = 0; i < view_count(view, section_kind::types); i++) {
    const format::type_entry t = view_type(view, i);
    const uint64_t at = entry_offset(view, section_kind::types, i);
    if (!text_is_valid(view, t.name))
      return {"a type's name lies outside the strings", at};
    if (t.module >= modules && t.module != format::no_module)
      return {"a type names a module that is not there", at + offsetof(format::type_entry, module)};
  }
  return fine;
}

view_error check_zones(const statistics_view &view) {
  const uint32_t count = view_count(view, section_kind::zones);
  if (count > view_max_zones)
    return {"more than 64 zones", section_of(view, section_kind::zones).offset};
  uint64_t before = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t size = view_zone(view, i).size;
    const bool large = size == 0 && i + 1 == count;
    if (size <= before && !large)
      return {"the zones are not sorted by size", entry_offset(view, section_kind::zones, i)};
    before = size;
  }
  return fine;
}

// Stores the size of the smallest block into *smallest.
view_error check_cpus(const statistics_view &view, uint64_t *smallest) {
  const uint64_t bytes = section_of(view, section_kind::counters).count * 8;
  uint64_t total = 0;
  *smallest = UINT64_MAX;
  for (uint32_t i = 0; i < view_count(view, section_kind::cpus); i++) {
    const format::cpu_entry c = view_cpu(view, i);
    const uint64_t at = entry_offset(view, section_kind::cpus, i);
    if (c.cpu < -1)
      return {"a CPU has a negative number", at};
    if (c.offset % 8 != 0 || !fits(c.offset, c.size, bytes))
      return {"a CPU's block lies outside the counters", at + offsetof(format::cpu_entry, offset)};
    if (c.size > bytes - total)
      return {"the blocks of the CPUs overlap", at + offsetof(format::cpu_entry, size)};
    total += c.size;
    if (c.size < *smallest)
      *smallest = c.size;
  }
  return fine;
}

view_error check_cells(const statistics_view &view, uint64_t smallest_block) {
  const uint32_t count = view_count(view, section_kind::cells);
  if (uint64_t{count} * 16 > smallest_block)
    return {"more cells than a CPU's block can hold", section_of(view, section_kind::cells).offset};
  for (uint32_t i = 0; i < count; i++) {
    const format::cell_entry c = view_cell(view, i);
    const uint64_t at = entry_offset(view, section_kind::cells, i);
    if (c.type >= view_count(view, section_kind::types))
      return {"a cell names a type that is not there", at};
    if (c.zone >= view_count(view, section_kind::zones))
      return {"a cell names a zone that is not there", at + offsetof(format::cell_entry, zone)};
    const uint64_t length = view_zone(view, c.zone).size == 0 ? 32 : 16;
    if (c.offset % 8 != 0 || !fits(c.offset, length, smallest_block))
      return {"a cell lies outside a CPU's block", at + offsetof(format::cell_entry, offset)};
  }
  return fine;
}

view_error check_live(const statistics_view &view) {
  if (!text_is_valid(view, view_live(view).reason))
    return {"the reason of what is missing lies outside the strings", section_of(view, section_kind::live).offset};
  return fine;
}

const view_section &inherited_section(const statistics_view &view) {
  return section_of(view, view_is_merged(view) ? section_kind::merged : section_kind::inherited);
}

view_error check_inherited(const statistics_view &view) {
  if (!view_has_inherited(view))
    return fine;
  const view_section &s = inherited_section(view);
  if (s.count != view_count(view, section_kind::cells))
    return {"not one inherited count for each cell", s.offset};
  if (view_is_merged(view) && section_of(view, section_kind::inherited).entry_size != 0)
    return {"the counts of one process and of many", section_of(view, section_kind::inherited).offset};
  return fine;
}

// Each depth follows from one that was checked, so no chain is longer than the limit.
view_error check_chains(const statistics_view &view) {
  for (uint32_t i = 0; i < view_count(view, section_kind::chains); i++) {
    const format::chain_entry c = view_chain(view, i);
    const uint64_t at = entry_offset(view, section_kind::chains, i);
    if (c.caller != format::no_chain && c.caller >= i)
      return {"a frame of a chain does not come after its caller", at};
    const uint32_t above = c.caller == format::no_chain ? 0 : view_chain(view, c.caller).depth;
    if (c.depth != above + 1 || c.depth > format::chain_frames_most)
      return {"a frame of a chain has a wrong depth", at + offsetof(format::chain_entry, depth)};
    if (c.type >= view_count(view, section_kind::types) && c.type != format::no_chain)
      return {"a chain names a type that is not there", at + offsetof(format::chain_entry, type)};
    if (c.module >= view_count(view, section_kind::modules) && c.module != format::no_module)
      return {"a frame of a chain names a module that is not there", at + offsetof(format::chain_entry, module)};
  }
  return fine;
}

view_error check_notes(const statistics_view &view) {
  for (uint32_t i = 0; i < view_count(view, section_kind::notes); i++)
    if (!text_is_valid(view, view_note(view, i).name))
      return {"a note's name lies outside the strings", entry_offset(view, section_kind::notes, i)};
  return fine;
}

// Word `index` of a cell; the acquire keeps the frees, which are read first, in front of the allocs.
uint64_t counter_at(const statistics_view &view, const format::cell_entry &cell, const format::cpu_entry &cpu,
                    uint32_t index) {
  const view_section &counters = section_of(view, section_kind::counters);
  const uint64_t in_block = uint64_t{cell.offset} + index * 8;
  if (!fits(in_block, 8, cpu.size) || !fits(cpu.offset, cpu.size, counters.count * 8) || (cpu.offset | in_block) % 8)
    return 0;
  const unsigned char *at = view.data + counters.offset + cpu.offset + in_block;
  return __atomic_load_n(reinterpret_cast<const uint64_t *>(at), __ATOMIC_ACQUIRE);
}

} // namespace

view_error view_open(statistics_view &view, const unsigned char *data, size_t size) {
  view = {};
  view.data = data;
  view.size = size;
  if (reinterpret_cast<uintptr_t>(data) % 8 != 0)
    return {"the statistics are not aligned to 8 in memory", 0};
  uint64_t smallest_block = 0;
  view_error e = check_header(view);
  if (!e.what)
    e = check_sections(view);
  if (!e.what)
    e = check_header_texts(view);
  if (!e.what)
    e = check_modules(view);
  if (!e.what)
    e = check_types(view);
  if (!e.what)
    e = check_zones(view);
  if (!e.what)
    e = check_cpus(view, &smallest_block);
  if (!e.what)
    e = check_cells(view, smallest_block);
  if (!e.what)
    e = check_inherited(view);
  if (!e.what)
    e = check_chains(view);
  if (!e.what)
    e = check_notes(view);
  if (!e.what)
    e = check_live(view);
  return e;
}

format::live_entry view_live(const statistics_view &view) {
  return read_entry<format::live_entry>(view, section_kind::live, 0);
}
bool view_is_live(const statistics_view &view) { return view_count(view, section_kind::live) != 0; }

format::peak_entry view_peak(const statistics_view &view) {
  return read_entry<format::peak_entry>(view, section_kind::peak, 0);
}
bool view_has_peak(const statistics_view &view) { return view_count(view, section_kind::peak) != 0; }

uint32_t view_count(const statistics_view &view, section_kind kind) {
  return static_cast<uint32_t>(section_of(view, kind).count);
}

format::module_entry view_module(const statistics_view &view, uint32_t index) {
  return read_entry<format::module_entry>(view, section_kind::modules, index);
}

format::type_entry view_type(const statistics_view &view, uint32_t index) {
  return read_entry<format::type_entry>(view, section_kind::types, index);
}

format::cell_entry view_cell(const statistics_view &view, uint32_t index) {
  return read_entry<format::cell_entry>(view, section_kind::cells, index);
}

format::cpu_entry view_cpu(const statistics_view &view, uint32_t index) {
  return read_entry<format::cpu_entry>(view, section_kind::cpus, index);
}

format::zone_entry view_zone(const statistics_view &view, uint32_t index) {
  return read_entry<format::zone_entry>(view, section_kind::zones, index);
}

format::note_entry view_note(const statistics_view &view, uint32_t index) {
  return read_entry<format::note_entry>(view, section_kind::notes, index);
}

format::chain_entry view_chain(const statistics_view &view, uint32_t index) {
  return read_entry<format::chain_entry>(view, section_kind::chains, index);
}

bool view_is_merged(const statistics_view &view) { return section_of(view, section_kind::merged).entry_size != 0; }

bool view_has_inherited(const statistics_view &view) {
  return view_is_merged(view) || section_of(view, section_kind::inherited).entry_size != 0;
}

format::inherited_entry view_inherited(const statistics_view &view, uint32_t cell) {
  const section_kind kind = view_is_merged(view) ? section_kind::merged : section_kind::inherited;
  return read_entry<format::inherited_entry>(view, kind, cell);
}

view_text view_string(const statistics_view &view, format::text text) {
  if (!text_is_valid(view, text))
    return {"", 0};
  const uint64_t at = section_of(view, section_kind::strings).offset + text.offset;
  return {reinterpret_cast<const char *>(view.data + at), text.size};
}

view_half view_frees(const statistics_view &view, const format::cell_entry &cell, uint64_t zone_size,
                     const format::cpu_entry &cpu) {
  const uint64_t count = counter_at(view, cell, cpu, 1);
  return {count, zone_size ? count * zone_size : counter_at(view, cell, cpu, 3)};
}

view_half view_allocs(const statistics_view &view, const format::cell_entry &cell, uint64_t zone_size,
                      const format::cpu_entry &cpu) {
  const uint64_t count = counter_at(view, cell, cpu, 0);
  return {count, zone_size ? count * zone_size : counter_at(view, cell, cpu, 2)};
}

} // namespace m9
