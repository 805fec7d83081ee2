// SPDX-License-Identifier: BSD-2-Clause
//
// The marks that lie beside a live file, FILE@NAME: whole dumps of moments that were given a name.
#pragma once

#include <string>
#include <vector>

#include "tool/model.h"

namespace m9::tool {

struct made_mark {
  std::string name, path;
  uint64_t time_ns = 0; // CLOCK_REALTIME
};

// Those of the process that `of` is of, beside its file at `path`, the oldest first. None where that is no live file.
std::vector<made_mark> marks_of(const std::string &path, const model_head &of);

} // namespace m9::tool
