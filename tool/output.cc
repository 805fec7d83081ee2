// SPDX-License-Identifier: BSD-2-Clause
#include "tool/output.h"

#include <cerrno>

#include <unistd.h>

#include "tool/error.h"

namespace m9::tool {

output standard_output() { return {STDOUT_FILENO, "standard output"}; }

void output::put(std::string_view text) {
  pending += text;
  if (pending.size() >= flush_at)
    flush();
}

void output::flush() {
  if (failed == 0 && !write_all())
    failed = errno;
  pending.clear();
  if (failed != 0)
    throw error(fmt::format("{}: {}", name_, errno_text(failed)), exit_failed);
}

bool output::write_all() {
  if (to != nullptr) {
    to->append(pending);
    return true;
  }
  for (size_t done = 0; done < pending.size();) {
    const ssize_t n = ::write(fd, pending.data() + done, pending.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

table_sink output::sink() {
  const auto write = [](void *context, const char *data, size_t size) {
    auto &self = *static_cast<output *>(context);
    self.pending.append(data, size);
    if (self.pending.size() >= flush_at && self.failed == 0) {
      if (!self.write_all())
        self.failed = errno;
      self.pending.clear();
    }
  };
  return {write, this};
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos)
    return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"')
      out += '"';
    out += c;
  }
  return out + '"';
}

} // namespace m9::tool
