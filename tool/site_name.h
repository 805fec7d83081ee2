// SPDX-License-Identifier: BSD-2-Clause
//
// Where a type allocates, as people say it. A type's own name is `module!function+offset`, `module+offset`, or words
// that name no place ("(other)").
#pragma once

#include <cstdint>
#include <string>

#include "tool/model.h"

namespace m9::tool {

struct site_name {
  std::string module;   // base name of its file; empty: in none
  std::string function; // empty: unknown
  std::string file;     // of the source, empty: unknown
  uint32_t line = 0;    // 0: unknown
};

// What the dump itself says.
site_name site_name_of(const model_type &type);

} // namespace m9::tool
