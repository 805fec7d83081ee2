// SPDX-License-Identifier: BSD-2-Clause
//
// What of a recording the page draws: not every sample of every type, which may be millions.
#pragma once

#include <optional>
#include <string>

#include "tool/page.h"
#include "tool/recording.h"

namespace m9::tool {

// At most `most_points` moments, the last of each of as many equal parts, and `most_lines` types: those that held most
// at some moment. `last`: recorded.last().
page_growth growth_of(const recording &recorded, const model &last, size_t most_points = 600, size_t most_lines = 300);

// Of a process that has marks beside its file at `path`: from the first mark to `last`, which was read of that file.
std::optional<page_growth> growth_by_marks(const std::string &path, const model &last);

} // namespace m9::tool
