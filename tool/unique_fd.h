// SPDX-License-Identifier: BSD-2-Clause
//
// A file descriptor that is closed once.
#pragma once

#include <utility>

#include <unistd.h>

namespace m9::tool {

class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int descriptor) : fd(descriptor) {}
  unique_fd(unique_fd &&other) noexcept : fd(std::exchange(other.fd, -1)) {}
  unique_fd &operator=(unique_fd &&other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  unique_fd(const unique_fd &) = delete;
  unique_fd &operator=(const unique_fd &) = delete;
  ~unique_fd() {
    if (fd >= 0)
      ::close(fd);
  }

  int get() const { return fd; }
  explicit operator bool() const { return fd >= 0; }

private:
  int fd = -1;
};

} // namespace m9::tool
