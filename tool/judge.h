// SPDX-License-Identifier: BSD-2-Clause
//
// Statistics held against a budget, and against older statistics.
#pragma once

#include <string>
#include <vector>

#include "tool/budget.h"
#include "tool/groups.h"

namespace m9::tool {

// A figure as it was measured. Of the peak less is known than of all else: of the whole program two bounds, of anything
// less a lower bound only.
struct measurement {
  bounds value;
  bool lower_bound = false; // it was value.least (and value.most is the same) or more
  bool exact() const { return !lower_bound && value.least == value.most; }
};

// One limit, kept or not.
struct verdict {
  std::string subject; // "function server!cache_*"
  std::string figure;  // "live", ...
  bool bytes = false;
  uint64_t least = 0, most = UINT64_MAX;
  measurement measured;
  uint64_t matched = 0;           // groups that the glob took in
  std::vector<std::string> worst; // who has most of it, where it is broken: "server!cache_new: 1024 bytes"
  std::string file;               // the budget's, or the older statistics'
  uint32_t line = 0;              // 0: none

  // A limit within the bounds is not known to be broken.
  bool kept() const { return measured.value.most >= least && measured.value.least <= most; }
};

std::vector<verdict> judge_budget(const model &m, naming &names, const budget_file &file);

// How the budget reads with today's figures as its limits.
std::string budget_blessed(const model &m, naming &names, const budget_file &file);

struct growth_limits {
  double percent = 0;
  uint64_t bytes = 0; // of live bytes; growth up to this does not matter
};

// Live bytes, peak (where both tell) and allocations of all, and live bytes of each function, against those of `old`.
std::vector<verdict> judge_growth(const model &m, naming &names, const model &old, naming &old_names,
                                  const std::string &old_path, const growth_limits &limits);

// "7", ">= 7", "5..7"
std::string measurement_text(const measurement &measured);

// "at most 5, got 7 bytes"; one line.
std::string verdict_text(const verdict &v);

} // namespace m9::tool
