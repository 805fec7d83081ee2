// SPDX-License-Identifier: BSD-2-Clause
#include "shim/standard_error.h"

#include <cstdint>

#include "shim/system.h"

namespace m9 {
namespace {

bool started, was_open; // (i)
int kept = -1;          // (i)
uint64_t device, inode; // of descriptor 2 at start (i)

} // namespace

void standard_error_start(bool keep_duplicate) {
  was_open = descriptor_identity(2, device, inode);
  if (was_open && keep_duplicate)
    kept = descriptor_keep(2);
  started = true;
}

void standard_error_drop() {
  if (descriptor_same(kept, device, inode))
    file_close(kept);
  kept = -1;
}

int standard_error() {
  if (!started || (was_open && descriptor_same(2, device, inode)))
    return 2;
  if (descriptor_same(kept, device, inode))
    return kept;
  // Redirected since, to a terminal, a pipe or a socket: those are for messages. A regular file is the program's.
  return was_open && descriptor_is_stream(2) ? 2 : -1;
}

} // namespace m9
