// SPDX-License-Identifier: BSD-2-Clause
//
// What glibc has and other C libraries have not. All of it is referred to weakly, so that a child that is linked with
// musl, which refuses to start without what a preloaded library needs, runs: by the fallback, without names of types.
#pragma once

#include <cstdint>
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <sys/rseq.h>

#pragma weak __rseq_offset
#pragma weak __rseq_size
#pragma weak _dl_find_object
#pragma weak gnu_get_libc_version
extern "C" [[gnu::weak]] char __libc_single_threaded; // from 2.32 on; not 0 until a second thread is made

namespace m9 {

// The loaded object that an address lies in; takes no lock and allocates nothing.
inline bool object_find(uintptr_t address, dl_find_object &found) {
  return _dl_find_object && _dl_find_object(reinterpret_cast<void *>(address), &found) == 0;
}

} // namespace m9
