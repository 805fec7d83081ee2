// SPDX-License-Identifier: BSD-2-Clause
//
// Statistics as the verbs work on them: everything of a view by name, in ordinary containers. A snapshot: of a live
// file, the frees of all CPUs are read before any allocs.
//
// Invariants: cells[i].counts has an element per element of `cpus`; zones are sorted by size, large (0) last;
// types keep the order of the file, `cells` of a type lie in order of their zones' sizes. by_cpu holds all that the
// counters do, with what was inherited at a fork, from which alone follows what is live.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/view.h"

namespace m9::tool {

struct counts {
  uint64_t numallocs = 0;
  uint64_t numfrees = 0;
  uint64_t memalloced = 0;
  uint64_t memfreed = 0;

  counts &operator+=(const counts &other);
  counts &operator-=(const counts &other); // not below 0
  bool any() const { return (numallocs | numfrees | memalloced | memfreed) != 0; }
  uint64_t inuse() const { return numallocs > numfrees ? numallocs - numfrees : 0; }
  uint64_t memuse() const { return memalloced > memfreed ? memalloced - memfreed : 0; }
};

struct model_module {
  std::string path;
  std::string build_id; // hexadecimal, may be empty
  uint64_t base = 0, start = 0, end = 0;
  uint32_t flags = 0;
};

struct model_cell {
  uint32_t zone; // index in model::zones
  std::vector<counts> by_cpu;
  counts inherited = {}; // of all CPUs
};

// A frame of a chain of callers; chains share what they have in common on the outside.
struct model_frame {
  uint32_t caller; // index in model::frames, below its own, or format::no_chain
  uint32_t module; // index in model::modules, or format::no_module
  uint64_t offset; // of the return address
};

// Whether a file tells what was inherited: by one process, or by many that were merged.
enum class inheritance { none, of_one, of_many };

struct model_type {
  std::string name;
  uint32_t module = format::no_module; // index in model::modules
  uint64_t offset = 0;
  uint64_t highuse = 0; // bytes, as recorded
  uint32_t flags = 0;   // format::type_by_rule, ...
  std::vector<model_cell> cells;
  uint32_t chain = format::no_chain; // index in model::frames of the innermost frame, if the type is one chain
};

struct model_zone {
  uint64_t size; // 0: large
  uint64_t limit, used, free, fail, sleep, slabs;
};

struct model_note {
  std::string name;
  uint64_t value;
};

// Of a figure that is not known exactly.
struct bounds {
  uint64_t least = 0, most = 0;
};

// Which process it was.
struct model_head {
  std::string program, command, mode_reason;
  format::run_mode mode = format::run_mode::boot;
  uint32_t page_size = 0, sequence = 0;
  uint64_t pid = 0, start_ns = 0, time_ns = 0;
};

struct model : model_head {
  std::vector<model_module> modules;
  std::vector<model_type> types;
  std::vector<model_frame> frames;
  std::vector<int32_t> cpus; // the kernel's numbers; -1: charged to no CPU
  std::vector<model_zone> zones;
  std::vector<model_note> notes;
  inheritance inherited = inheritance::none;
  std::optional<bounds> peak; // bytes: the most that all types held together, if the file tells
};

model model_of(const statistics_view &view);

counts total_of(const std::vector<counts> &by_cpu);
// All that the counters of a type hold, and how much of it was inherited.
counts type_total(const model_type &type);
counts type_inherited(const model_type &type);
// What is told of `total`: of merged processes what they did themselves.
counts operations(const model &m, counts total, const counts &inherited);
std::vector<counts> type_by_cpu(const model &m, const model_type &type);
std::vector<uint64_t> type_sizes(const model &m, const model_type &type); // of the zones it allocated from
// A bound from below, and whether it is the peak itself.
uint64_t type_highuse(const model_type &type);
bool type_highuse_is_exact(const model_type &type);
// What the types took from each zone, on each CPU; and how much of it was inherited.
std::vector<std::vector<counts>> zones_by_cpu(const model &m);
std::vector<counts> zones_inherited(const model &m);

// Indices of the types that ever allocated, in the order of the table.
std::vector<uint32_t> types_sorted(const model &m);

std::string zone_name(uint64_t size); // "malloc-64", "malloc-large"
std::string cpu_name(int32_t cpu);    // "3", "none"

} // namespace m9::tool
