// SPDX-License-Identifier: BSD-2-Clause
//
// A file that a verb writes, or standard output: whole or not at all. It is written under another name beside its own,
// which it takes in finish(); without finish() nothing is left. What is no ordinary file (/dev/stdout, a pipe) is
// written to directly.
#pragma once

#include <string>
#include <string_view>

#include "tool/output.h"
#include "tool/unique_fd.h"

namespace m9::tool {

class output_file {
public:
  // Throws error. Empty: standard output.
  explicit output_file(std::string path);
  ~output_file();
  output_file(const output_file &) = delete;
  output_file &operator=(const output_file &) = delete;

  output &out() { return to; }
  void finish();

private:
  std::string path, temporary; // temporary: empty where there is none, or no longer
  unique_fd fd;
  output to;
};

void write_file(const std::string &path, std::string_view text);

} // namespace m9::tool
