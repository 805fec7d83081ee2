// SPDX-License-Identifier: BSD-2-Clause
//
// The report as one HTML page: everything that it needs is in it, and it asks nobody for anything. page/ has its parts;
// page/embed.py makes them this program's, so that no file is needed at run time.
#pragma once

#include <string>
#include <string_view>

#include "tool/model.h"
#include "tool/naming.h"
#include "tool/output.h"

namespace m9::tool {

// Around the data.
extern const std::string_view page_before_data;
extern const std::string_view page_after_data;

// The bytes that types held at moments, for the page's lines.
struct page_growth {
  struct line {
    uint32_t type;                                    // index in model::types
    std::vector<std::pair<size_t, uint64_t>> changes; // (point, bytes from there on)
  };
  std::vector<double> seconds; // of each point, from the first
  std::vector<uint64_t> total; // at each point, of all types
  uint64_t samples = 0;        // that the points were chosen from
  std::vector<line> lines;
  std::vector<std::pair<double, std::string>> marks; // seconds, name
  std::vector<int64_t> growth;                       // of each of model::types, from first to last
};

// `file`: whence the statistics are. `growth`: nullptr, there are none of other moments.
void page_write(output &out, const std::string &file, const model &m, naming &names, const page_growth *growth);

} // namespace m9::tool
