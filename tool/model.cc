// SPDX-License-Identifier: BSD-2-Clause
#include "tool/model.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace m9::tool {
namespace {

using format::section_kind;

std::string string_of(const statistics_view &view, format::text text) {
  const view_text s = view_string(view, text);
  return {s.data, s.size};
}

std::string hex(const uint8_t *bytes, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; i++)
    out += fmt::format("{:02x}", bytes[i]);
  return out;
}

void read_names(model &m, const statistics_view &view) {
  for (uint32_t i = 0; i < view_count(view, section_kind::modules); i++) {
    const format::module_entry e = view_module(view, i);
    const size_t id_size = std::min<size_t>(e.build_id_size, sizeof e.build_id);
    m.modules.push_back({string_of(view, e.path), hex(e.build_id, id_size), e.base, e.start, e.end, e.flags});
  }
  for (uint32_t i = 0; i < view_count(view, section_kind::types); i++) {
    const format::type_entry e = view_type(view, i);
    const uint32_t module = e.module < m.modules.size() ? e.module : format::no_module;
    m.types.push_back({string_of(view, e.name), module, e.offset, e.highuse, e.flags, {}, format::no_chain});
  }
  for (uint32_t i = 0; i < view_count(view, section_kind::zones); i++) {
    const format::zone_entry e = view_zone(view, i);
    m.zones.push_back({e.size, e.limit, e.used, e.free, e.fail, e.sleep, e.slabs});
  }
  for (uint32_t i = 0; i < view_count(view, section_kind::notes); i++) {
    const format::note_entry e = view_note(view, i);
    m.notes.push_back({string_of(view, e.name), e.value});
  }
}

// A live file may change, but what is made of it is a tree that is not deep, whatever happens.
void read_chains(model &m, const statistics_view &view) {
  std::vector<uint32_t> depths;
  for (uint32_t i = 0; i < view_count(view, section_kind::chains); i++) {
    const format::chain_entry e = view_chain(view, i);
    const bool has_caller = e.caller < i && depths[e.caller] < format::chain_frames_most;
    depths.push_back(has_caller ? depths[e.caller] + 1 : 1);
    m.frames.push_back({has_caller ? e.caller : format::no_chain,
                        e.module < m.modules.size() ? e.module : format::no_module, e.offset});
    if (e.type < m.types.size() && m.types[e.type].chain == format::no_chain)
      m.types[e.type].chain = i;
  }
}

counts counts_of(const format::inherited_entry &e) { return {e.numallocs, e.numfrees, e.memalloced, e.memfreed}; }

void read_counts(model &m, const statistics_view &view) {
  std::vector<format::cpu_entry> cpus;
  for (uint32_t p = 0; p < view_count(view, section_kind::cpus); p++)
    cpus.push_back(view_cpu(view, p));
  std::vector<std::pair<format::cell_entry, model_cell>> cells;
  for (uint32_t i = 0; i < view_count(view, section_kind::cells); i++) {
    const format::cell_entry cell = view_cell(view, i);
    if (cell.type >= m.types.size() || cell.zone >= m.zones.size()) // a live file may change
      continue;
    const format::inherited_entry e = view_inherited(view, i);
    cells.push_back({cell, {cell.zone, std::vector<counts>(cpus.size()), counts_of(e)}});
  }
  for (size_t p = 0; p < cpus.size(); p++)
    for (auto &[cell, to] : cells) {
      const view_half frees = view_frees(view, cell, m.zones[cell.zone].size, cpus[p]);
      to.by_cpu[p].numfrees = frees.count;
      to.by_cpu[p].memfreed = frees.bytes;
    }
  for (size_t p = 0; p < cpus.size(); p++)
    for (auto &[cell, to] : cells) {
      const view_half allocs = view_allocs(view, cell, m.zones[cell.zone].size, cpus[p]);
      to.by_cpu[p].numallocs = allocs.count;
      to.by_cpu[p].memalloced = allocs.bytes;
    }
  for (auto &[cell, filled] : cells)
    m.types[cell.type].cells.push_back(std::move(filled));
  for (model_type &type : m.types)
    std::stable_sort(type.cells.begin(), type.cells.end(),
                     [](const model_cell &a, const model_cell &b) { return a.zone < b.zone; });
  for (const format::cpu_entry &cpu : cpus)
    m.cpus.push_back(cpu.cpu);
}

} // namespace

counts &counts::operator+=(const counts &other) {
  numallocs += other.numallocs;
  numfrees += other.numfrees;
  memalloced += other.memalloced;
  memfreed += other.memfreed;
  return *this;
}

counts &counts::operator-=(const counts &other) {
  numallocs -= std::min(numallocs, other.numallocs);
  numfrees -= std::min(numfrees, other.numfrees);
  memalloced -= std::min(memalloced, other.memalloced);
  memfreed -= std::min(memfreed, other.memfreed);
  return *this;
}

counts total_of(const std::vector<counts> &by_cpu) {
  counts total;
  for (const counts &c : by_cpu)
    total += c;
  return total;
}

model model_of(const statistics_view &view) {
  model m;
  const format::header &h = view.header;
  m.program = string_of(view, h.program);
  m.command = string_of(view, h.command);
  m.mode_reason = string_of(view, h.mode_reason);
  m.mode = h.mode;
  m.page_size = h.page_size;
  m.sequence = h.sequence;
  m.pid = h.pid;
  m.start_ns = h.start_ns;
  m.time_ns = h.time_ns;
  read_names(m, view);
  read_chains(m, view);
  read_counts(m, view);
  if (view_has_peak(view)) {
    const format::peak_entry e = view_peak(view);
    m.peak = bounds{e.most - std::min(e.slack, e.most), e.most};
  }
  if (view_has_inherited(view))
    m.inherited = view_is_merged(view) ? inheritance::of_many : inheritance::of_one;
  return m;
}

counts type_total(const model_type &type) {
  counts total;
  for (const model_cell &cell : type.cells)
    total += total_of(cell.by_cpu);
  return total;
}

counts type_inherited(const model_type &type) {
  counts total;
  for (const model_cell &cell : type.cells)
    total += cell.inherited;
  return total;
}

counts operations(const model &m, counts total, const counts &inherited) {
  return m.inherited == inheritance::of_many ? total -= inherited : total;
}

std::vector<counts> type_by_cpu(const model &m, const model_type &type) {
  std::vector<counts> by_cpu(m.cpus.size());
  for (const model_cell &cell : type.cells)
    for (size_t p = 0; p < by_cpu.size(); p++)
      by_cpu[p] += cell.by_cpu[p];
  return by_cpu;
}

std::vector<uint64_t> type_sizes(const model &m, const model_type &type) {
  std::vector<uint64_t> sizes;
  uint32_t last = UINT32_MAX;
  for (const model_cell &cell : type.cells)
    if (cell.zone != last && total_of(cell.by_cpu).any()) {
      sizes.push_back(m.zones[cell.zone].size);
      last = cell.zone;
    }
  return sizes;
}

uint64_t type_highuse(const model_type &type) { return std::max(type.highuse, type_total(type).memuse()); }

bool type_highuse_is_exact(const model_type &type) { return type_highuse(type) >= type_total(type).memalloced; }

std::vector<std::vector<counts>> zones_by_cpu(const model &m) {
  std::vector<std::vector<counts>> zones(m.zones.size(), std::vector<counts>(m.cpus.size()));
  for (const model_type &type : m.types)
    for (const model_cell &cell : type.cells)
      for (size_t p = 0; p < m.cpus.size(); p++)
        zones[cell.zone][p] += cell.by_cpu[p];
  return zones;
}

std::vector<counts> zones_inherited(const model &m) {
  std::vector<counts> zones(m.zones.size());
  for (const model_type &type : m.types)
    for (const model_cell &cell : type.cells)
      zones[cell.zone] += cell.inherited;
  return zones;
}

std::vector<uint32_t> types_sorted(const model &m) {
  std::vector<counts> totals, done;
  for (const model_type &type : m.types) {
    totals.push_back(type_total(type));
    done.push_back(operations(m, totals.back(), type_inherited(type)));
  }
  std::vector<uint32_t> order(m.types.size());
  std::iota(order.begin(), order.end(), 0U);
  std::erase_if(order,
                [&](uint32_t i) { return done[i].numallocs == 0 && done[i].numfrees == 0 && totals[i].inuse() == 0; });
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (totals[a].memuse() != totals[b].memuse())
      return totals[a].memuse() > totals[b].memuse();
    if (done[a].numallocs != done[b].numallocs)
      return done[a].numallocs > done[b].numallocs;
    const int names = m.types[a].name.compare(m.types[b].name);
    return names != 0 ? names < 0 : a < b;
  });
  return order;
}

std::string cpu_name(int32_t cpu) { return cpu >= 0 ? std::to_string(cpu) : "none"; }

std::string zone_name(uint64_t size) { return size != 0 ? fmt::format("malloc-{}", size) : "malloc-large"; }

} // namespace m9::tool
