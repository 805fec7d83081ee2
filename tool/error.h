// SPDX-License-Identifier: BSD-2-Clause
//
// How the command fails: an exception whose text is one line, printed as `malloc9: TEXT`, and the exit status.
#pragma once

#include <stdexcept>
#include <string>

namespace m9::tool {

enum exit_status : int {
  exit_good = 0,
  exit_failed = 1,  // the answer could not be given, or is "no"
  exit_bad_use = 2, // bad arguments, or input that is no statistics
};

struct error : std::runtime_error {
  explicit error(const std::string &text, exit_status s = exit_bad_use) : std::runtime_error(text), status(s) {}
  exit_status status;
};

// One line on standard error, `malloc9: TEXT`, at once and in one write; nothing can be done where that fails.
void complain(const std::string &text);

// "No such file or directory" and the like; thread-safe.
std::string errno_text(int number);

// The text with what a terminal would act on shown as \xNN, so that names from files stay on their line.
std::string printable(const std::string &text);

} // namespace m9::tool
