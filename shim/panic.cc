// SPDX-License-Identifier: BSD-2-Clause
#include "shim/panic.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <sys/syscall.h>

#include "shim/standard_error.h"
#include "shim/syscall.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {

void complain(const char *what) {
  text_buffer<1024> line;
  line.add("malloc9: ").add(what).put('\n');
  if (int fd = standard_error(); fd >= 0)
    file_write(fd, line.c_str(), line.size());
}

namespace {
std::atomic<bool> stopping; // (a) relaxed
} // namespace

bool panicked() { return stopping.load(std::memory_order_relaxed); }

void panic(const char *what) {
  stopping.store(true, std::memory_order_relaxed);
  complain(what);
  // abort() would find SIGABRT blocked when the caller is in a locked part; it unblocks it by itself.
  abort();
}

} // namespace m9
