// SPDX-License-Identifier: BSD-2-Clause
//
// Completion of the command's own line in shells, made from what the verbs declared, so that it cannot lag behind.
#pragma once

#include <string>
#include <vector>

#include "tool/options.h"

namespace m9::tool {

// `shell`: bash, zsh or fish.
std::string completion_for(const std::string &shell, const std::vector<verb_description> &verbs);

} // namespace m9::tool
