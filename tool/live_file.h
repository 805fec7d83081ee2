// SPDX-License-Identifier: BSD-2-Clause
//
// A file that a process counts in, or counted in until it died (doc/design.md, "Live files"): copied as it is at this
// moment into an ordinary image, with the frees of all CPUs read before any allocs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/format.h"
#include "tool/unique_fd.h"

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

// One that is read many times: it is opened and mapped once, which is most of what a reading costs.
class live_file {
public:
  live_file(unique_fd fd, const std::string &path); // path as above; these throw, too
  ~live_file();
  live_file(const live_file &) = delete;
  live_file &operator=(const live_file &) = delete;

  live_image read();
  // Brings the counters alone of what read() gave last up to date. False: there is more in the file now; read() it.
  // Names, notes and peaks stay as they were.
  bool read_counters(live_image &image);
  bool is_alive() const;
  // Whether another file has the name by now: a process that calls exec gets a new one in the place of its old.
  bool is_replaced(const std::string &path) const;

private:
  struct state;
  std::unique_ptr<state> s;
};

} // namespace m9::tool
