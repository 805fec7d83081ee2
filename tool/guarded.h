// SPDX-License-Identifier: BSD-2-Clause
//
// A file mapped for reading that others may cut short meanwhile: then a read of it is SIGBUS, which is made an error.
#pragma once

#include <cstddef>

namespace m9::tool {

class mapped_file {
public:
  mapped_file(int fd, size_t size); // data() is nullptr where it cannot be mapped: errno says why
  mapped_file(const mapped_file &) = delete;
  mapped_file &operator=(const mapped_file &) = delete;
  ~mapped_file();
  const unsigned char *data() const { return at; }
  size_t size() const { return bytes; }

private:
  const unsigned char *at = nullptr;
  size_t bytes;
};

// Runs f, which reads from the mapping and must own nothing that needs to be given back when it is left in the middle.
// False: what it read is no longer there.
bool read_guarded(const mapped_file &file, void (*f)(void *), void *argument);

} // namespace m9::tool
