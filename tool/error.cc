// SPDX-License-Identifier: BSD-2-Clause
#include "tool/error.h"

#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

namespace m9::tool {

void complain(const std::string &text) {
  const std::string line = "malloc9: " + text + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

std::string errno_text(int number) { return std::generic_category().message(number); }

std::string printable(const std::string &text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

} // namespace m9::tool
