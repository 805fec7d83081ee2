// SPDX-License-Identifier: BSD-2-Clause
//
// Who called whom, with what was allocated on the way: the chains of all types (MALLOC9_CONF=stack:N) put together from
// the outermost caller on. A type without a chain is one frame, its own name. Functions that the compiler inlined are
// frames like others.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tool/model.h"
#include "tool/naming.h"
#include "tool/output.h"

namespace m9::tool {

// What a line of the tree adds up.
enum class tree_weight { requests, bytes, inuse, memuse };

tree_weight tree_weight_of(const std::string &word); // "requests", "bytes", "inuse", "memuse"

constexpr double tree_least_share = 0.005;

// "module+0x1c"
std::string frame_place(const model &m, const model_frame &frame);

class call_tree {
public:
  // The model must be the one that `names` was made for, or one with the same modules.
  call_tree(const model &m, naming &names, tree_weight weight);

  // The share and the weight of each function with all that it called, callers above. Below `least` (a share of all)
  // callees are told in one line.
  void print(output &out, double least) const;
  // "outermost;...;innermost weight", a line for each chain of functions: what flame graphs are drawn from.
  void print_folded(output &out) const;

private:
  struct node {
    uint64_t own = 0, total = 0;
    std::map<uint32_t, uint32_t> children; // by number of the name: index in nodes
  };
  uint32_t name_number(const std::string &name);
  // The names of one frame, outermost first.
  const std::vector<uint32_t> &frame_names(const model &m, naming &names, uint32_t frame);
  uint32_t child(uint32_t parent, uint32_t name);
  std::vector<std::pair<uint32_t, uint32_t>> heaviest_first(const node &n) const;
  void print_below(output &out, uint32_t at, size_t indent, double least) const;
  void print_line(output &out, uint64_t weight, size_t indent, const std::string &text) const;

  std::vector<node> nodes;
  std::vector<std::string> texts;
  std::map<std::string, uint32_t> numbers;
  std::map<std::pair<uint32_t, uint64_t>, std::vector<uint32_t>> known_frames; // by module and offset
};

} // namespace m9::tool
