// SPDX-License-Identifier: BSD-2-Clause
//
// A file that a process counts in, or counted in until it died (doc/design.md, "Live files"): copied as it is at this
// moment into an ordinary image, with the frees of all CPUs read before any allocs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/format.h"

namespace m9::tool {

struct live_image {
  std::unique_ptr<uint64_t[]> memory;
  size_t size = 0;
};

// Whether an open file is one, as far as its first bytes tell.
bool is_live_file(int fd, const format::header &header);
// Whether the process that counts in it is alive: the kernel drops its lock when it dies or calls exec.
bool live_is_alive(int fd);
// `path` is for errors, which it throws.
live_image live_read(int fd, const std::string &path);

} // namespace m9::tool
