// SPDX-License-Identifier: BSD-2-Clause
//
// Text on its way to a descriptor. A full disk must not look like success, so finish() is called, and throws.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "core/table.h"

namespace m9::tool {

class output {
public:
  // `name` is what errors call it.
  output(int descriptor, std::string name) : fd(descriptor), name_(std::move(name)) {}
  // Into a text, which has all of it after finish().
  explicit output(std::string &text) : to(&text) {}
  output(const output &) = delete;
  output &operator=(const output &) = delete;

  void put(std::string_view text);
  template <typename... arguments> void print(fmt::format_string<arguments...> format, arguments &&...values) {
    fmt::format_to(std::back_inserter(pending), format, std::forward<arguments>(values)...);
    if (pending.size() >= flush_at)
      flush();
  }
  void finish() { flush(); }

  // For core/table.h. Errors come out at finish(): nothing is thrown through the table's code.
  table_sink sink();

private:
  static constexpr size_t flush_at = 64 * 1024;
  void flush();
  bool write_all(); // false: errno says why
  int fd = -1;
  std::string *to = nullptr; // or: where there is no descriptor
  std::string name_;
  std::string pending;
  int failed = 0; // errno of a failed write
};

output standard_output();

// A field of a CSV line, quoted as RFC 4180 says where it must be.
std::string csv_field(std::string_view text);

} // namespace m9::tool
