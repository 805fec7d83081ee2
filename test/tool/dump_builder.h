// SPDX-License-Identifier: BSD-2-Clause
//
// Writes statistics for tests, byte by byte from core/format.h, with no code of the tool's own writer, so that the two
// cannot agree on a mistake. It also writes what is wrong: fields are public and nothing is checked.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/format.h"

namespace m9::test {

struct dump_builder {
  format::header header{};
  std::string strings;
  std::vector<format::module_entry> modules;
  std::vector<format::type_entry> types;
  std::vector<format::cell_entry> cells;
  std::vector<int32_t> cpus;
  std::vector<format::zone_entry> zones;
  std::vector<format::note_entry> notes;
  std::vector<format::inherited_entry> inherited; // one per cell; none: no section
  uint32_t inherited_kind = 9;
  std::vector<format::chain_entry> chains;   // none: no section
  std::vector<std::vector<uint64_t>> blocks; // by CPU; words
  size_t padding = 0;                        // bytes that a later version appended to each entry
  bool with_unknown_section = false;

  dump_builder() {
    std::memcpy(header.magic, format::magic, sizeof header.magic);
    header.version = format::version;
    header.header_size = sizeof header;
    header.byte_order = format::byte_order_mark;
    header.page_size = 4096;
    header.section_size = sizeof(format::section);
    header.mode = format::run_mode::rseq;
    header.sequence = 1;
    header.pid = 4711;
    header.start_ns = 1700000000000000000;
    header.time_ns = 1700000012500000000;
    header.program = text("sample");
    header.command = text("sample --fast");
  }

  format::text text(std::string_view s) {
    const format::text t{uint32_t(strings.size()), uint32_t(s.size())};
    strings += s;
    return t;
  }

  uint32_t add_module(std::string_view path, uint8_t id) {
    format::module_entry m{};
    m.path = text(path);
    m.base = m.start = 0x555500000000 + id * uint64_t{0x1000000};
    m.end = m.start + 0x100000;
    std::memset(m.build_id, id, 20);
    m.build_id_size = 20;
    modules.push_back(m);
    return uint32_t(modules.size() - 1);
  }

  uint32_t add_type(std::string_view name, uint32_t module, uint64_t offset, uint64_t highuse = 0) {
    types.push_back({text(name), module, 0, offset, highuse});
    return uint32_t(types.size() - 1);
  }

  // A frame below that of `caller`, another frame or -1.
  uint32_t add_frame(uint32_t caller, uint32_t module, uint64_t offset, uint32_t type = format::no_chain) {
    const uint32_t above = caller == format::no_chain ? 0 : chains[caller].depth;
    chains.push_back({caller, type, module, above + 1, offset});
    return uint32_t(chains.size() - 1);
  }

  uint32_t add_zone(uint64_t size, uint64_t used = 0, uint64_t free = 0) {
    zones.push_back({size, size ? uint64_t{1} << 32 : 0, used, free, 0, 0, (used + free + 4095) / 4096, 0});
    return uint32_t(zones.size() - 1);
  }

  uint32_t add_cpu(int32_t cpu) {
    cpus.push_back(cpu);
    blocks.emplace_back();
    return uint32_t(cpus.size() - 1);
  }

  // All CPUs first, then cells. A large cell takes four words.
  uint32_t add_cell(uint32_t type, uint32_t zone) {
    const uint32_t at = blocks.empty() ? 0 : uint32_t(blocks[0].size() * 8);
    for (auto &block : blocks)
      block.resize(block.size() + (zones[zone].size ? 2 : 4));
    cells.push_back({type, zone, uint32_t(cells.size() + 2), at});
    return uint32_t(cells.size() - 1);
  }

  void count(uint32_t cell, uint32_t cpu, uint64_t allocs, uint64_t frees, uint64_t alloced = 0, uint64_t freed = 0) {
    uint64_t *words = &blocks[cpu][cells[cell].offset / 8];
    words[0] += allocs;
    words[1] += frees;
    if (zones[cells[cell].zone].size == 0) {
      words[2] += alloced;
      words[3] += freed;
    }
  }

  std::vector<unsigned char> bytes() {
    std::vector<unsigned char> out(sizeof header);
    std::vector<format::section> table;
    std::vector<format::cpu_entry> cpu_entries;
    std::vector<uint64_t> counters;
    for (size_t i = 0; i < cpus.size(); i++) {
      cpu_entries.push_back({cpus[i], 0, counters.size() * 8, blocks[i].size() * 8});
      counters.insert(counters.end(), blocks[i].begin(), blocks[i].end());
    }
    if (with_unknown_section)
      append(out, table, 77, cells, padding);
    append(out, table, 8, counters, 0);
    append(out, table, 6, zones, padding);
    append(out, table, 2, modules, padding);
    append(out, table, 3, types, padding);
    append(out, table, 4, cells, padding);
    append(out, table, 5, cpu_entries, padding);
    if (!inherited.empty())
      append(out, table, inherited_kind, inherited, padding);
    append(out, table, 7, notes, padding);
    if (!chains.empty())
      append(out, table, 11, chains, padding);
    append(out, table, 1, std::vector<char>(strings.begin(), strings.end()), 0);
    header.sections_offset = out.size();
    header.section_count = uint32_t(table.size());
    for (const auto &s : table)
      append_bytes(out, &s, sizeof s);
    header.file_size = out.size();
    std::memcpy(out.data(), &header, sizeof header);
    return out;
  }

private:
  static void append_bytes(std::vector<unsigned char> &out, const void *data, size_t size) {
    const auto *p = static_cast<const unsigned char *>(data);
    out.insert(out.end(), p, p + size);
  }

  template <typename entry>
  static void append(std::vector<unsigned char> &out, std::vector<format::section> &table, uint32_t kind,
                     const std::vector<entry> &entries, size_t extra) {
    table.push_back({format::section_kind(kind), uint32_t(sizeof(entry) + extra), entries.size(), out.size()});
    for (const auto &e : entries) {
      append_bytes(out, &e, sizeof e);
      out.insert(out.end(), extra, 0xee);
    }
    out.resize((out.size() + 7) / 8 * 8);
  }
};

// Types of every kind: small, large, two zones, all freed, never used, odd names; three CPUs, one without a number.
inline dump_builder sample_dump() {
  dump_builder b;
  const uint32_t program = b.add_module("/usr/bin/sample", 0xa1);
  const uint32_t library = b.add_module("/usr/lib/libthing.so.3", 0xb2);
  b.add_zone(16, 96, 160);
  b.add_zone(64, 11, 53);
  b.add_zone(4096);
  b.zones.back().fail = 3;
  b.zones.back().sleep = 4;
  b.add_zone(0, 2, 8192);
  b.add_cpu(0);
  b.add_cpu(3);
  b.add_cpu(-1);
  const uint32_t node = b.add_type("sample!node_new+0x1c", program, 0x1c1c, 5000);
  const uint32_t name = b.add_type("sample!name_copy+0x20", program, 0x2020);
  const uint32_t buffer = b.add_type("libthing.so.3!thing_buffer+0x8", library, 0x808, 9000000);
  const uint32_t done = b.add_type("libthing.so.3+0x900", library, 0x900, 4096);
  b.add_type("sample!never+0x1", program, 0x1);
  const uint32_t odd = b.add_type("anon \x1b[31m\"quoted\", \xc3\xbc", format::no_module, 0x77, 16);
  uint32_t c = b.add_cell(node, 1);
  b.count(c, 0, 100, 40);
  b.count(c, 1, 20, 70);
  b.count(c, 2, 1, 0);
  c = b.add_cell(name, 0);
  b.count(c, 0, 90, 0);
  b.count(c, 1, 10, 5);
  c = b.add_cell(buffer, 3);
  b.count(c, 0, 5, 1, 9000000, 8192);
  b.count(c, 1, 0, 2, 0, 991808);
  c = b.add_cell(buffer, 2);
  b.count(c, 1, 1, 1);
  c = b.add_cell(done, 2);
  b.count(c, 0, 7, 0);
  b.count(c, 1, 0, 7);
  c = b.add_cell(odd, 0);
  b.count(c, 1, 1, 0);
  b.notes.push_back({b.text("foreign frees"), 12});
  b.notes.push_back({b.text("sites folded"), 0});
  b.notes.push_back({b.text("size mismatches"), 1});
  return b;
}

// The sample as a child that took over some of it: two thirds of the first type, all of the one that was freed.
inline dump_builder child_dump() {
  dump_builder b = sample_dump();
  b.inherited.resize(b.cells.size());
  b.inherited[0] = {80, 75, 80 * 64, 75 * 64};
  b.inherited[2] = {3, 1, 5000000, 8192};
  b.inherited[4] = {7, 7, 7 * 4096, 7 * 4096};
  return b;
}

// The sample as types that are chains: two of one site, one cut short in a place that no module has, one of one frame.
inline dump_builder chains_dump() {
  dump_builder b = sample_dump();
  const uint32_t again = b.add_type("sample!node_new+0x1c", 0, 0x1c1c);
  b.count(b.add_cell(again, 1), 1, 1000, 10);
  const uint32_t start = b.add_frame(format::no_chain, 0, 0x1000), main = b.add_frame(start, 0, 0x1100);
  b.add_frame(main, 0, 0x1c1c, 0);
  const uint32_t thing = b.add_frame(main, 1, 0x700);
  b.add_frame(thing, 0, 0x1c1c, again);
  b.add_frame(thing, 1, 0x808, 2);
  b.add_frame(b.add_frame(format::no_chain, format::no_module, 0x7777), 0, 0x2020, 1);
  b.add_frame(format::no_chain, 1, 0x900, 3);
  return b;
}

} // namespace m9::test
