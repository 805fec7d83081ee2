// SPDX-License-Identifier: BSD-2-Clause
//
// Whether a program will use a preloaded malloc, found before it is started, by reading its file. Scripts are followed
// to their interpreter. What cannot be read is taken to be good: the absence of a dump tells afterwards.
#pragma once

#include <string>

namespace m9::tool {

struct program_verdict {
  std::string path;    // of the program as it will be executed; empty: not found
  std::string problem; // why it would not use the library; empty: it will
  std::string warning; // what is odd, though it will work
};

// Looks `name` up as execvp does. The texts begin with the name of the file that is meant.
program_verdict program_check(const std::string &name);

// Empty if the file can be preloaded into programs of this machine, else what is wrong with it.
std::string library_problem(const std::string &path);

} // namespace m9::tool
