// SPDX-License-Identifier: BSD-2-Clause
#include "tool/merge.h"

#include <algorithm>

#include <fmt/format.h>

namespace m9::tool {
namespace {

constexpr const char *processes_note = "processes merged";

std::string module_key(const model_module &module) {
  return module.build_id.empty() ? "path " + module.path : "id " + module.build_id;
}

} // namespace

uint32_t merger::add_module(const model_module &module) {
  const auto [at, is_new] = module_index.try_emplace(module_key(module), static_cast<uint32_t>(modules.size()));
  if (is_new)
    modules.push_back(module);
  return at->second;
}

std::vector<uint32_t> merger::add_frames(const model &m) {
  std::vector<uint32_t> index;
  for (const model_frame &f : m.frames) {
    const uint32_t caller = f.caller != format::no_chain ? index[f.caller] : format::no_chain;
    const uint32_t module = f.module < m.modules.size() ? add_module(m.modules[f.module]) : format::no_module;
    const auto [at, is_new] = frame_index.try_emplace({caller, module, f.offset}, static_cast<uint32_t>(frames.size()));
    if (is_new)
      frames.push_back({caller, module, f.offset});
    index.push_back(at->second);
  }
  return index;
}

void merger::add(const model &m) {
  const std::vector<uint32_t> frame_of = add_frames(m);
  uint64_t processes = 1;
  for (const model_type &type : m.types) {
    const bool has_module = type.module < m.modules.size();
    const std::string where = has_module ? module_key(m.modules[type.module]) : "";
    const uint32_t chain = type.chain != format::no_chain ? frame_of[type.chain] : format::no_chain;
    const auto [at, is_new] =
        type_index.try_emplace(fmt::format("{}\n{}\n{:x}\n{}", type.name, where, type.offset, chain), types.size());
    if (is_new) {
      types.push_back({type, {}});
      types.back().type.module = has_module ? add_module(m.modules[type.module]) : format::no_module;
      types.back().type.cells.clear();
      types.back().type.chain = chain;
    }
    merged_type &merged = types[at->second];
    merged.type.highuse = std::max(merged.type.highuse, type_highuse(type));
    for (const model_cell &cell : type.cells) {
      merged_cell &sum = merged.cells[m.zones[cell.zone].size];
      for (size_t p = 0; p < m.cpus.size(); p++)
        sum.by_cpu[m.cpus[p]] += cell.by_cpu[p];
      sum.inherited += cell.inherited;
    }
  }
  if (m.peak) {
    peak.least = std::max(peak.least, m.peak->least);
    peak.most = std::max(peak.most, peak.most + m.peak->most); // no less, should it overflow
  }
  peaks_known &= m.peak.has_value();
  inherited |= m.inherited != inheritance::none;
  for (const int32_t cpu : m.cpus)
    cpus.insert(cpu);
  for (const model_zone &zone : m.zones) {
    model_zone &sum = zones.try_emplace(zone.size - 1, model_zone{zone.size, 0, 0, 0, 0, 0, 0}).first->second;
    sum.limit = std::max(sum.limit, zone.limit);
    sum.used += zone.used;
    sum.free += zone.free;
    sum.fail += zone.fail;
    sum.sleep += zone.sleep;
    sum.slabs += zone.slabs;
  }
  for (const model_note &note : m.notes)
    if (note.name == processes_note)
      processes = note.value;
    else
      notes[note.name] += note.value;
  added += processes;
}

std::vector<model_cell> merger::cells_of(const merged_type &type, const model &m) {
  std::vector<model_cell> cells;
  for (uint32_t z = 0; z < m.zones.size(); z++) {
    const auto found = type.cells.find(m.zones[z].size);
    if (found == type.cells.end())
      continue;
    const merged_cell &sum = found->second;
    cells.push_back({z, std::vector<counts>(m.cpus.size()), sum.inherited});
    for (size_t p = 0; p < m.cpus.size(); p++)
      if (const auto c = sum.by_cpu.find(m.cpus[p]); c != sum.by_cpu.end())
        cells.back().by_cpu[p] = c->second;
  }
  return cells;
}

model merger::result(const model &first) const {
  model m;
  static_cast<model_head &>(m) = first;
  m.inherited = inherited ? inheritance::of_many : inheritance::none;
  if (added != 0 && peaks_known)
    m.peak = peak;
  m.modules = modules;
  m.frames = frames;
  for (const int32_t cpu : cpus)
    m.cpus.push_back(cpu);
  for (const auto &[size, zone] : zones)
    m.zones.push_back(zone);
  for (const merged_type &merged : types) {
    m.types.push_back(merged.type);
    m.types.back().cells = cells_of(merged, m);
  }
  for (const auto &[name, value] : notes)
    m.notes.push_back({name, value});
  m.notes.push_back({processes_note, added});
  return m;
}

} // namespace m9::tool
