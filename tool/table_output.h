// SPDX-License-Identifier: BSD-2-Clause
//
// The library's own table (core/table.h), into an output.
#pragma once

#include <vector>

#include "core/table.h"
#include "tool/output.h"

namespace m9::tool {

inline void print_table(output &out, const statistics_view &view) {
  const uint32_t types = view_count(view, format::section_kind::types);
  std::vector<type_sum> sums(types);
  std::vector<uint32_t> order(types);
  table_print(view, sums.data(), order.data(), out.sink());
}

} // namespace m9::tool
