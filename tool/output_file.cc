// SPDX-License-Identifier: BSD-2-Clause
#include "tool/output_file.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/error.h"

namespace m9::tool {
namespace {

// Where a link leads, so that it is the file that is replaced and not the link; and whether that can be done.
bool replaceable(std::string &path) {
  if (char *real = ::realpath(path.c_str(), nullptr)) {
    path = real;
    ::free(real); // NOLINT(cppcoreguidelines-no-malloc)
  }
  struct stat st {};
  return ::stat(path.c_str(), &st) != 0 || S_ISREG(st.st_mode);
}

unique_fd open_for(std::string &path, std::string &temporary) {
  if (path.empty())
    return unique_fd(::dup(STDOUT_FILENO));
  const std::string named = path;
  if (replaceable(path))
    temporary = fmt::format("{}.{}.tmp", path, ::getpid());
  const std::string &file = temporary.empty() ? path : temporary;
  unique_fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) {
    temporary.clear();
    throw error(fmt::format("{}: {}", printable(named), errno_text(errno)));
  }
  return fd;
}

} // namespace

output_file::output_file(std::string file)
    : path(std::move(file)), fd(open_for(path, temporary)),
      to(fd.get(), path.empty() ? "standard output" : printable(path)) {}

output_file::~output_file() {
  if (!temporary.empty())
    ::unlink(temporary.c_str());
}

void output_file::finish() {
  to.finish();
  if (temporary.empty())
    return;
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0)
    ::fchmod(fd.get(), st.st_mode & 07777);
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    throw error(fmt::format("{}: {}", printable(path), errno_text(errno)), exit_failed);
  temporary.clear();
}

void write_file(const std::string &path, std::string_view text) {
  output_file file(path);
  file.out().put(text);
  file.finish();
}

} // namespace m9::tool
