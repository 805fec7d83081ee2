// SPDX-License-Identifier: BSD-2-Clause
#include "tool/writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "tool/error.h"

namespace m9::tool {
namespace {

using format::section_kind;

struct writer {
  std::string file = std::string(sizeof(format::header), '\0');
  std::string strings;
  std::vector<format::section> table;

  format::text text(const std::string &s) {
    const size_t size = std::min<size_t>(s.size(), view_max_text);
    if (strings.size() + size > UINT32_MAX)
      throw error("too many names for one file of statistics", exit_failed);
    const format::text t{static_cast<uint32_t>(strings.size()), static_cast<uint32_t>(size)};
    strings.append(s, 0, size);
    return t;
  }

  template <typename entry> void section(section_kind kind, const entry *entries, size_t count) {
    table.push_back({kind, sizeof(entry), count, file.size()});
    file.append(reinterpret_cast<const char *>(entries), count * sizeof(entry));
    file.resize((file.size() + 7) / 8 * 8);
  }

  template <typename entry> void section(section_kind kind, const std::vector<entry> &entries) {
    section(kind, entries.data(), entries.size());
  }
};

format::module_entry module_entry_of(writer &w, const model_module &module) {
  format::module_entry e{w.text(module.path), module.base, module.start, module.end, {}, 0, module.flags};
  for (; e.build_id_size < sizeof e.build_id && e.build_id_size * 2 + 1 < module.build_id.size(); e.build_id_size++) {
    const char *digits = &module.build_id[e.build_id_size * 2];
    std::from_chars(digits, digits + 2, e.build_id[e.build_id_size], 16);
  }
  return e;
}

void write_names(writer &w, const model &m) {
  std::vector<format::module_entry> modules;
  for (const model_module &module : m.modules)
    modules.push_back(module_entry_of(w, module));
  w.section(section_kind::modules, modules);
  std::vector<format::type_entry> types;
  for (const model_type &type : m.types)
    types.push_back({w.text(type.name), type.module, type.flags, type.offset, type.highuse});
  w.section(section_kind::types, types);
  std::vector<format::zone_entry> zones;
  for (const model_zone &z : m.zones)
    zones.push_back({z.size, z.limit, z.used, z.free, z.fail, z.sleep, z.slabs, 0});
  w.section(section_kind::zones, zones);
  std::vector<format::note_entry> notes;
  for (const model_note &note : m.notes)
    notes.push_back({w.text(note.name), note.value});
  w.section(section_kind::notes, notes);
}

void write_chains(writer &w, const model &m) {
  std::vector<format::chain_entry> chains;
  for (const model_frame &f : m.frames) {
    const uint32_t above = f.caller != format::no_chain ? chains[f.caller].depth : 0;
    chains.push_back({f.caller, format::no_chain, f.module, above + 1, f.offset});
  }
  for (uint32_t t = 0; t < m.types.size(); t++)
    if (m.types[t].chain != format::no_chain)
      chains[m.types[t].chain].type = t;
  if (!chains.empty())
    w.section(section_kind::chains, chains);
}

void write_counts(writer &w, const model &m) {
  std::vector<format::cell_entry> cells;
  std::vector<format::inherited_entry> inherited;
  uint64_t block_size = 0;
  for (uint32_t t = 0; t < m.types.size(); t++)
    for (const model_cell &cell : m.types[t].cells) {
      if (block_size > UINT32_MAX - 32)
        throw error("too many types for one file of statistics", exit_failed);
      cells.push_back({t, cell.zone, 0, static_cast<uint32_t>(block_size)});
      block_size += m.zones[cell.zone].size != 0 ? 16 : 32;
      const counts &c = cell.inherited;
      inherited.push_back({c.numallocs, c.numfrees, c.memalloced, c.memfreed});
    }
  w.section(section_kind::cells, cells);
  if (m.inherited != inheritance::none)
    w.section(m.inherited == inheritance::of_many ? section_kind::merged : section_kind::inherited, inherited);
  std::vector<format::cpu_entry> cpus;
  std::vector<uint64_t> counters;
  for (size_t p = 0; p < m.cpus.size(); p++) {
    cpus.push_back({m.cpus[p], 0, counters.size() * 8, block_size});
    for (const model_type &type : m.types)
      for (const model_cell &cell : type.cells) {
        const counts &c = cell.by_cpu[p];
        counters.insert(counters.end(), {c.numallocs, c.numfrees});
        if (m.zones[cell.zone].size == 0)
          counters.insert(counters.end(), {c.memalloced, c.memfreed});
      }
  }
  w.section(section_kind::cpus, cpus);
  w.section(section_kind::counters, counters);
}

} // namespace

std::string model_write(const model &m) {
  writer w;
  format::header h{};
  std::memcpy(h.magic, format::magic, sizeof h.magic);
  h.version = format::version;
  h.header_size = sizeof h;
  h.byte_order = format::byte_order_mark;
  h.page_size = m.page_size;
  h.section_size = sizeof(format::section);
  h.mode = m.mode;
  h.sequence = m.sequence;
  h.pid = m.pid;
  h.start_ns = m.start_ns;
  h.time_ns = m.time_ns;
  h.program = w.text(m.program);
  h.mode_reason = w.text(m.mode_reason);
  h.command = w.text(m.command);
  write_names(w, m);
  write_chains(w, m);
  write_counts(w, m);
  if (m.peak) {
    const format::peak_entry peak{m.peak->most, m.peak->most - m.peak->least};
    w.section(section_kind::peak, &peak, 1);
  }
  w.section(section_kind::strings, w.strings.data(), w.strings.size());
  h.sections_offset = w.file.size();
  h.section_count = static_cast<uint32_t>(w.table.size());
  w.file.append(reinterpret_cast<const char *>(w.table.data()), w.table.size() * sizeof(format::section));
  h.file_size = w.file.size();
  std::memcpy(w.file.data(), &h, sizeof h);
  return std::move(w.file);
}

} // namespace m9::tool
