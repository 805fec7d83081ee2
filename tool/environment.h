// SPDX-License-Identifier: BSD-2-Clause
//
// The environment of the command, which has one thread and never changes its own.
#pragma once

#include <cstdlib>
#include <string>

namespace m9::tool {

// Empty if the variable is not set.
inline std::string environment_value(const char *name) {
  const char *value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): one thread
  return value != nullptr ? value : "";
}

} // namespace m9::tool
