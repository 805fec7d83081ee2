// SPDX-License-Identifier: BSD-2-Clause
//
// The constructor: reads MALLOC9_CONF and sees to it that the report comes as late as can be. An allocation before it
// finds the heap in mode boot, which needs no environment; the first one after it chooses the mode (core/heap.cc).
#include <csignal>
#include <cstring>
#include <pthread.h>
#include <unistd.h>

#include "core/meta.h"
#include "core/rules.h"
#include "preload/configuration.h"
#include "preload/report.h"
#include "shim/glibc.h"
#include "shim/lock.h"
#include "shim/panic.h"
#include "shim/system.h"
#include "shim/text.h"

extern "C" {
int __cxa_atexit(void (*f)(void *), void *argument, void *dso);
[[gnu::weak]] int __cxa_at_quick_exit(void (*f)(void *), void *dso);
[[gnu::weak]] int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void *dso);
}

namespace m9 {
namespace {

constexpr char variable[] = "MALLOC9_CONF=";

// Children inherit the variable; first:PID in it tells which process was started. An exec keeps the pid, so it is the
// first again.
void note_first(char **entry) {
  if (conf.first_pid)
    return;
  conf.first_pid = process_id();
  text_buffer<path_most + 256> value;
  value.add(*entry).add(",first:").number(conf.first_pid);
  uint64_t mask = signals_block(); // meta_alloc's condition
  if (const char *copy = meta_string(value.c_str(), value.size()))
    *entry = const_cast<char *>(copy);
  signals_restore(mask);
}

void load_rules(const char *path) {
  rules_error error;
  long result = rules_load(path, error);
  if (result == 0 && !error.what)
    return;
  text_buffer<path_most + 256> line;
  line.add("MALLOC9_CONF: types: ").add(path).put(':');
  if (error.what)
    line.number(error.line).put(':').number(error.column).add(": ").add(error.what);
  else
    line.put(' ').add(error_text(result));
  complain(line.add(", using no rules").c_str());
}

void dump_signal_handler(int) { report_dump(); }

void dump_signal_install(int number) {
  struct sigaction action {};
  action.sa_handler = dump_signal_handler;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

__attribute__((constructor(101))) void start(int argc, char **argv, char **environment) {
  if (!gnu_get_libc_version) { // musl gives constructors no arguments
    argc = 1;
    argv = &program_invocation_name;
    environment = environ;
  }
  if (!secure_execution())
    for (char **e = environment; e && *e; e++)
      if (strncmp(*e, variable, sizeof variable - 1) == 0) {
        configuration_parse(conf, *e + sizeof variable - 1);
        note_first(e);
        break;
      }
  conf.heap.keep_inherited = conf.dump[0]; // the table is printed by the first process only, so no fork pays for that
  if (conf.types[0])
    load_rules(conf.types);
  heap_configure(conf.heap);
  bool reports = conf.dump[0] || conf.print_exit || conf.audit_exit || conf.stats[0];
  if (reports)
    heap_enter();
  // Of all fork handlers ours prepare last and return first: those of others, registered later, allocate.
  if (__register_atfork)
    __register_atfork(heap_fork_prepare, heap_fork_parent, heap_fork_child, nullptr);
  report_start(argc, argv);
  if (conf.dump_signal)
    dump_signal_install(conf.dump_signal);
  if (conf.stats[0])
    report_live_start();
  if (!reports)
    return;
  // Registered before the loader registers the destructors of all objects, and for no object, so that it runs after
  // them; what stdio writes after that allocates nothing.
  __cxa_atexit([](void *) { report_exit(); }, nullptr, nullptr);
  if (__cxa_at_quick_exit)
    __cxa_at_quick_exit([](void *) { report_exit(); }, nullptr);
}

} // namespace
} // namespace m9
