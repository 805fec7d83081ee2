// SPDX-License-Identifier: BSD-2-Clause
//
// A budget file: how much memory each part of a program may take (malloc9(1)). TOML; a [[budget]] names what it
// is about by a glob and has a limit for each figure that matters:
//
//   [[budget]]
//   function = "server!cache_*"
//   live = "64 KiB"                  # bytes at exit, of all types that match, together
//   allocations = { exactly = 1200 }
//   leaks = 0                        # items live at exit
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tool/groups.h"

namespace m9::tool {

enum class figure_kind { live, peak, allocations, rate, leaks };

constexpr figure_kind figure_kinds[] = {figure_kind::live, figure_kind::peak, figure_kind::allocations,
                                        figure_kind::rate, figure_kind::leaks};
const char *figure_name(figure_kind kind);
uint64_t figure_value(const model_head &head, const figures &of, figure_kind kind);
bool figure_is_bytes(figure_kind kind);

// Where something stands in the file; from 1, in bytes.
struct budget_place {
  uint32_t line = 0, column = 0;
  uint32_t end_line = 0, end_column = 0; // one past it
};

struct budget_value {
  budget_place place;
  bool is_least = false; // `min`
};

struct budget_limit {
  figure_kind kind;
  uint64_t least = 0, most = UINT64_MAX;
  // The values in the file that --bless replaces.
  std::vector<budget_value> values;
};

struct budget {
  group_by by;
  std::string glob;
  std::vector<budget_limit> limits;
  budget_place place;
};

struct budget_file {
  std::string path;
  std::string text;
  std::vector<budget> budgets;
};

// Throws error, with line and column, where the file is not good.
budget_file budget_load(const std::string &path);

// The text with the values at these places (of which none overlap) replaced.
std::string budget_replace(const std::string &text, std::vector<std::pair<budget_place, std::string>> values);

// A first budget file: all together, and each function that holds memory at exit.
std::string budget_new(const model &m, naming &names);

// Glob of fnmatch(3); `*` matches / as well.
bool glob_matches(const std::string &glob, const std::string &name);

} // namespace m9::tool
