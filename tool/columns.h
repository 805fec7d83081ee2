// SPDX-License-Identifier: BSD-2-Clause
//
// A table for people: the first column to the left, the others to the right, as wide as what stands in them. Colours
// only where standard output is a terminal and NO_COLOR is not set.
#pragma once

#include <string>
#include <vector>

#include "tool/output.h"

namespace m9::tool {

class columns {
public:
  explicit columns(std::vector<std::string> heads) : rows{std::move(heads)} {}
  void add(std::vector<std::string> row) { rows.push_back(std::move(row)); }
  void print(output &out) const;

private:
  std::vector<std::vector<std::string>> rows;
};

std::string kibibytes(uint64_t bytes);       // "12K", rounded up, as vmstat -m has it
std::string signed_kibibytes(int64_t bytes); // "+12K", away from 0
std::string signed_count(int64_t count);     // "+3"
std::string in_red(const std::string &text);
std::string in_green(const std::string &text);

} // namespace m9::tool
