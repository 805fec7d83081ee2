// SPDX-License-Identifier: BSD-2-Clause
//
// Statistics that are looked at again and again: what changed between two looks, by type. A type is known again by its
// recorded name, its module and its offset there; those of one process never change.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>
#include <vector>

#include "tool/model.h"

namespace m9::tool {

// What tells types of one process apart.
std::string type_identity(const model &m, const model_type &type);
std::string type_identity(const std::string &name, const std::string &module_path, uint64_t offset);

struct watched_type {
  uint32_t index = 0; // in model::types of the last look
  counts total;       // all that the counters hold
  counts done;        // operations of the process or processes
  uint64_t high = 0;
  bool high_exact = false;
  double allocs_rate = 0, frees_rate = 0, growth_rate = 0; // per second since the look before; bytes
};

class watch {
public:
  using clock = std::chrono::steady_clock;

  explicit watch(std::string what) : target(std::move(what)) {}

  // Looks again; throws error as dump_load() does, and what was seen last stays.
  void look();

  const model &last() const { return seen; }
  // Those that ever allocated, in the order of the file.
  const std::vector<watched_type> &types() const { return watched; }
  uint64_t looks() const { return count; }
  // Seconds between the last two looks; 0: there was one only.
  double between() const { return seconds; }

private:
  std::string target;
  model seen;
  std::vector<watched_type> watched;
  std::unordered_map<std::string, counts> before; // by identity
  clock::time_point when;
  uint64_t count = 0;
  double seconds = 0;
};

} // namespace m9::tool
