// SPDX-License-Identifier: BSD-2-Clause
//
// What other objects do behind our back: libraries loaded with RTLD_DEEPBIND give us pointers of libc's own allocator,
// and dlclose makes call sites disappear.
#include <dlfcn.h>
#include <gnu/libc-version.h>

#include "core/malloc_type.h"
#include "core/misuse.h"
#include "preload/kinds.h"
#include "preload/start.h"
#include "shim/modules.h"

namespace m9 {

void foreign_start() {
  module_facts libc;
  // Any function that only libc has leads to its own symbols; dlsym could allocate.
  if (!module_find(reinterpret_cast<uintptr_t>(&gnu_get_libc_version), libc))
    return;
  foreign.free = reinterpret_cast<void (*)(void *)>(module_export(libc, "free"));
  foreign.realloc = reinterpret_cast<void *(*)(void *, size_t)>(module_export(libc, "realloc"));
  foreign.usable_size = reinterpret_cast<size_t (*)(void *)>(module_export(libc, "malloc_usable_size"));
}

namespace {

using dlclose_function = int (*)(void *);

dlclose_function real_dlclose() {
  static constinit dlclose_function found = nullptr;
  if (!found)
    found = reinterpret_cast<dlclose_function>(dlsym(RTLD_NEXT, "dlclose"));
  return found;
}

} // namespace
} // namespace m9

// dlclose(3), and then: what was unloaded keeps its types and their names, but its addresses may get others.
M9_EXPORT int dlclose(void *handle) {
  m9::malloc_types_name();
  int result = m9::real_dlclose()(handle);
  m9::malloc_types_forget_unloaded();
  return result;
}
