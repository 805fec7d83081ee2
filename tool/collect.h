// SPDX-License-Identifier: BSD-2-Clause
//
// The dumps that a program and its children leave in a private folder, which is removed at the end.
//
// A file is taken when its process is gone, so never half-written, and removed then, so that a build with thousands of
// children does not fill the disk. Of several dumps of one process the last counts.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "tool/merge.h"

namespace m9::tool {

class dump_collector {
public:
  explicit dump_collector(bool with_children);
  ~dump_collector();
  dump_collector(const dump_collector &) = delete;
  dump_collector &operator=(const dump_collector &) = delete;

  // For MALLOC9_CONF: dump:TEMPLATE.
  std::string dump_template() const { return folder + "/%p.%n.m9"; }
  // Takes what processes other than `first` have left. `at_end`: also of those that still run.
  void sweep(pid_t first, bool at_end);
  // The bytes of what `first`, of this name, left, or of all processes merged. Nothing: nobody left anything.
  std::optional<std::string> take(pid_t first, const std::string &name);
  // Whether `first` itself left a dump; known after take().
  bool has_first() const { return !first_bytes.empty(); }
  const std::vector<std::string> &problems() const { return problem_lines; }

private:
  using process_files = std::map<pid_t, std::vector<std::string>>;
  process_files files() const;
  std::string last_of(const std::vector<std::string> &paths);
  void merge(const std::vector<std::string> &paths);

  bool children;
  std::string folder;
  merger merged;
  std::string first_bytes;
  std::vector<std::string> problem_lines;
};

} // namespace m9::tool
