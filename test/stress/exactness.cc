// SPDX-License-Identifier: BSD-2-Clause
//
// exactness BOOKS [OPERATIONS [CHILDREN [SEED [HANDLERS]]]]: eight threads do so many operations each, while CHILDREN
// times the process forks (fork, _Fork and raw clone in turn). Writes its own books to the file BOOKS, and each child
// its own to BOOKS.PID; the runner compares them with the library's statistics.
#include "atfork_alloc.h"
#include "books.h"
#include "sites.h"
#include "worker.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr uint32_t main_context = 2 * max_workers;
constexpr uint64_t child_operation_count = 3000;
const char *const ways[] = {"fork", "_Fork", "clone"};

pid_t make_child(uint32_t way) {
  if (way == 0)
    return fork();
  if (way == 1)
    return _Fork();
  return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

void note_atfork_library() {
  for (uint32_t i = 0; i < 3; i++) {
    const atfork_alloc_count &count = atfork_alloc_counts[i];
    books::counts[main_context][sites::atfork_prepare + i] = {count.allocs, count.frees, count.bytes,
                                                              count.bytes_freed};
  }
}

// What the child does must be exact; it takes over a copy of all books, in which each worker may be inside one
// operation.
[[noreturn]] void child_life(uint32_t way, const char *path, uint64_t seed) {
  alarm(100);
  books::failures = 0; // the parent's are not the child's
  child_operations(main_context + 1, child_operation_count, seed);
  note_atfork_library();
  char own[500];
  snprintf(own, sizeof own, "%s.%d", path, static_cast<int>(getpid()));
  books::write_file(own, ways[way], sites::names, sites::count);
  exit(books::failures == 0 ? 0 : 1);
}

void make_children(uint32_t count, const char *path, uint64_t seed) {
  for (uint32_t i = 0; i < count && workers_running(); i++) {
    timespec pause = {0, 30000000};
    nanosleep(&pause, nullptr);
    pause_handlers();
    pid_t child = make_child(i % 3);
    if (child == 0)
      child_life(i % 3, path, seed + i);
    resume_handlers();
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
      dprintf(2, "the child made by %s: ", ways[i % 3]);
      books::fail("it ended with status", static_cast<uint64_t>(status));
    }
  }
}

uint64_t number_argument(int argc, char **argv, int index, uint64_t otherwise) {
  return argc > index ? strtoul(argv[index], nullptr, 0) : otherwise;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  uint64_t seed = number_argument(argc, argv, 4, 1);
  sites::name_all();
  workers_prepare(8, number_argument(argc, argv, 2, 1000000), seed);
  handlers_paused = number_argument(argc, argv, 5, 1) == 0;
  workers_start();
  make_children(static_cast<uint32_t>(number_argument(argc, argv, 3, 0)), argv[1], seed);
  workers_join();
  workers_clear();
  note_atfork_library();
  uint64_t handler_runs = 0, jumps = 0;
  for (uint32_t i = 0; i < worker_count; i++) {
    handler_runs += workers[i].handler_runs;
    jumps += workers[i].jumps;
  }
  dprintf(1, "%lu handler runs, %lu jumps\n", handler_runs, jumps);
  books::write_file(argv[1], "parent", sites::names, sites::count);
  return books::failures == 0 ? 0 : 1;
}
