// SPDX-License-Identifier: BSD-2-Clause
#include "tool/columns.h"

#include <algorithm>

#include <unistd.h>

#include "tool/environment.h"
#include "tool/error.h"

namespace m9::tool {
namespace {

constexpr size_t widest_first = 48; // longer names push their line to the right

std::string coloured(const std::string &text, const char *code) {
  if (isatty(STDOUT_FILENO) == 0 || !environment_value("NO_COLOR").empty())
    return text;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

} // namespace

void columns::print(output &out) const {
  std::vector<size_t> width(rows[0].size());
  for (const auto &row : rows)
    for (size_t c = 0; c < row.size(); c++) {
      const size_t size = c == 0 ? std::min(printable(row[c]).size(), widest_first) : row[c].size();
      width[c] = std::max(width[c], size);
    }
  for (const auto &row : rows) {
    std::string line = row.size() == 1 ? printable(row[0]) : fmt::format("{:<{}}", printable(row[0]), width[0]);
    for (size_t c = 1; c < row.size(); c++)
      line += fmt::format("  {:>{}}", row[c], width[c]);
    out.print("{}\n", line);
  }
}

std::string kibibytes(uint64_t bytes) { return fmt::format("{}K", bytes / 1024 + (bytes % 1024 != 0 ? 1 : 0)); }

std::string signed_kibibytes(int64_t bytes) {
  const uint64_t size = bytes < 0 ? 0 - static_cast<uint64_t>(bytes) : static_cast<uint64_t>(bytes);
  return bytes == 0 ? "0K" : (bytes < 0 ? "-" : "+") + kibibytes(size);
}

std::string signed_count(int64_t count) { return count == 0 ? "0" : fmt::format("{:+}", count); }

std::string in_red(const std::string &text) { return coloured(text, "31"); }

std::string in_green(const std::string &text) { return coloured(text, "32"); }

} // namespace m9::tool
