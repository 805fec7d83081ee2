// SPDX-License-Identifier: BSD-2-Clause
//
// Writes a model in the statistics format: what was merged can be printed, saved and read like any dump.
#pragma once

#include <string>

#include "tool/model.h"

namespace m9::tool {

// Throws error where a figure does not fit the format (4 GiB of names, ...).
std::string model_write(const model &m);

} // namespace m9::tool
