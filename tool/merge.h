// SPDX-License-Identifier: BSD-2-Clause
//
// Adds the statistics of many processes into one. Types are the same if their name, the build-id of their module (its
// path, if it has none), their offset and, if they are chains, all frames are; CPUs by number; zones by size; notes by
// name. What children inherited is added up beside the counts: without it those are the operations of the processes
// themselves, with it they give what all of them held.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>

#include "tool/model.h"

namespace m9::tool {

class merger {
public:
  void add(const model &m);
  uint64_t processes() const { return added; }

  // The sums, under the name, pid and mode of `first`. HighUse is the highest of any process, which all of them
  // together reached at least; the peak of all types lies between the highest of any process and the sum. A note says
  // how many processes were merged.
  model result(const model &first) const;

private:
  struct merged_cell {
    std::map<int32_t, counts> by_cpu;
    counts inherited;
  };
  struct merged_type {
    model_type type;
    std::map<uint64_t, merged_cell> cells; // by size of the zone
  };
  // The merged frames' indices by those of `m`.
  std::vector<uint32_t> add_frames(const model &m);
  uint32_t add_module(const model_module &module);
  static std::vector<model_cell> cells_of(const merged_type &type, const model &m);

  uint64_t added = 0;
  bool inherited = false; // by any of them
  bounds peak;
  bool peaks_known = true; // of each of them
  std::vector<model_module> modules;
  std::map<std::string, uint32_t> module_index;
  std::vector<model_frame> frames;
  std::map<std::array<uint64_t, 3>, uint32_t> frame_index; // by caller, module, offset
  std::vector<merged_type> types;
  std::map<std::string, size_t> type_index;
  std::map<uint64_t, model_zone> zones; // by size - 1, so that large (0) is last
  std::set<int32_t> cpus;
  std::map<std::string, uint64_t> notes;
};

} // namespace m9::tool
