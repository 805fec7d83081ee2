// SPDX-License-Identifier: BSD-2-Clause
//
// What other code does behind our back: dlclose makes call sites disappear, clone makes children that share our memory,
// _exit ends the process past all handlers.
#include <cstdarg>
#include <dlfcn.h>
#include <sched.h>

#include "core/heap.h"
#include "core/live.h"
#include "core/malloc_type.h"
#include "preload/kinds.h"
#include "preload/report.h"
#include "shim/modules.h"
#include "shim/process.h"
#include "shim/system.h"

namespace m9 {
namespace {

template <class Function> Function real(const char *name) { return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name)); }

} // namespace
} // namespace m9

// _exit(2), _Exit(3): no handlers of the program, but our report. They do not return, and may be called by a handler of
// a signal and by a child of vfork. libc's own do no more than this after it.
M9_EXPORT void _exit(int status) {
  m9::report_quick_exit();
  m9::process_end(status);
}

M9_EXPORT void _Exit(int status) {
  m9::report_quick_exit();
  m9::process_end(status);
}

// _Fork(3) runs no fork handlers. Ours are needed where counters lie in a file, which goes on changing for the child;
// they may be called by a handler of a signal, as this is.
M9_EXPORT int _Fork() {
  auto real = m9::libc_call<int()>("_Fork");
  if (!real)
    real = m9::real<int (*)()>("_Fork");
  if (!m9::live_wanted())
    return real();
  m9::heap_fork_prepare();
  int pid = real();
  if (pid == 0)
    m9::heap_fork_child();
  else
    m9::heap_fork_parent();
  return pid;
}

// dlclose(3), and then: what was unloaded keeps its types and their names, but its addresses may get others.
M9_EXPORT int dlclose(void *handle) {
  m9::malloc_types_name();
  int result = m9::real<int (*)(void *)>("dlclose")(handle);
  m9::malloc_types_forget_unloaded();
  return result;
}

// clone(2). A child that shares our memory without being a thread has no rseq of its own: the fast paths are off while
// it runs, which without CLONE_VFORK nobody can tell, so then for good.
M9_EXPORT int clone(int (*run)(void *), void *stack, int flags, void *argument, ...) {
  va_list rest;
  va_start(rest, argument);
  auto *parent_tid = va_arg(rest, pid_t *);
  void *tls = va_arg(rest, void *);
  auto *child_tid = va_arg(rest, pid_t *);
  va_end(rest);
  using function = int (*)(int (*)(void *), void *, int, void *, ...);
  auto real = m9::real<function>("clone");
  bool shares = (flags & CLONE_VM) && !(flags & CLONE_THREAD);
  if (shares)
    m9::process_share_begin();
  int result = real(run, stack, flags, argument, parent_tid, tls, child_tid);
  if (shares && (result < 0 || (flags & CLONE_VFORK)))
    m9::process_share_end();
  return result;
}
