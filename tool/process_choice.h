// SPDX-License-Identifier: BSD-2-Clause
//
// Which process `malloc9 top` is to show, where it was not told.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tool/processes.h"
#include "tool/screen.h"

namespace m9::tool {

// All in the folder (or the usual ones) that can be read, the living first.
std::vector<process> processes_to_show(const std::string &folder);

// Lists them on the screen, anew every `interval`, until one is opened: its file; nothing: the user quits.
std::optional<std::string> choose_process(const screen &terminal, const std::string &folder,
                                          std::chrono::milliseconds interval);

} // namespace m9::tool
