// SPDX-License-Identifier: BSD-2-Clause
//
// Stopping the program with one line, and assertions. CHECK is always on and stands where the heap may be corrupt;
// KASSERT holds logic of our own and is compiled into `checks` builds only, as FreeBSD's is into INVARIANTS kernels.
#pragma once

namespace m9 {

// Writes "malloc9: <what>\n" to standard error in one write and aborts. Takes no lock.
[[noreturn]] void panic(const char *what);

// Whether panic was called: then a lock may be held for good, by the very thread whose handler of SIGABRT runs.
bool panicked();

// Writes "malloc9: <what>\n" to standard error, in one write.
void complain(const char *what);

} // namespace m9

#define CHECK(condition, what)                                                                                         \
  do {                                                                                                                 \
    if (!(condition)) [[unlikely]]                                                                                     \
      ::m9::panic(what);                                                                                               \
  } while (0)

#if M9_CHECKS
#define KASSERT(condition, what) CHECK(condition, what)
#else
#define KASSERT(condition, what)                                                                                       \
  do {                                                                                                                 \
  } while (0)
#endif
