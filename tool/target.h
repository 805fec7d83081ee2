// SPDX-License-Identifier: BSD-2-Clause
//
// What people name when they want statistics: a file, or a process by its pid or its program's name, as it is or
// (TARGET@MARK) as it was when a mark was made.
#pragma once

#include <string>

namespace m9::tool {

// The path of the file that is meant; of a target that names no process, and has no file, itself. Processes that live
// are preferred to remains, then what began last; two that live throw an error that lists them.
std::string target_path(const std::string &target);

} // namespace m9::tool
