// SPDX-License-Identifier: BSD-2-Clause
//
// Runs a program as a child that signals reach as if we were not there.
//
// From the construction on INT, TERM, HUP, QUIT, USR1 and USR2 are blocked here and passed on to the child, except what
// the terminal sends to the whole foreground group, which the child gets by itself, and what was ignored at the start.
#pragma once

#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace m9::tool {

class child_process {
public:
  // Throws error when `path` cannot be executed.
  child_process(const std::string &path, const std::vector<std::string> &arguments,
                const std::vector<std::string> &environment);
  child_process(const child_process &) = delete;
  child_process &operator=(const child_process &) = delete;

  pid_t pid() const { return child; }
  // The status of waitpid. `tick` is called about once in a `period` until then.
  int wait(std::chrono::milliseconds period, const std::function<void()> &tick);

private:
  pid_t child = -1;
  sigset_t watched{};
};

// The exit status of a shell for it: 128 + N for signal N.
int exit_status_of(int wait_status);

} // namespace m9::tool
