// SPDX-License-Identifier: BSD-2-Clause
//
// endings CASE [ARGUMENT]: the ways in which a process ends or becomes another, and what it does to its descriptors.
// A case that leaves no dump at its end makes one before, by SIGUSR2.
#include "cases.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

SITE void *endings_site(size_t size);
SITE void *endings_site(size_t size) { return hide(malloc(size)); }

extern char **environ;
static char **arguments;

static void work(size_t count) {
  for (size_t i = 0; i < count; i++)
    free(endings_site(1 + i * 997 % (i % 10 == 0 ? 300000 : 9000)));
}

static void underscore_exit(void) {
  work(1000);
  if (vfork() == 0)
    _exit(0); // shares our memory, and has nothing to tell
  _exit(33);
}

static void at_quick_exit_handler(void) {
  work(100);
  raise(SIGUSR2);
}

static void quick(void) {
  at_quick_exit(at_quick_exit_handler);
  work(1000);
  quick_exit(33);
}

static void *work_forever(void *unused) {
  for (;;)
    work(100);
  return unused;
}

static void start_threads(int count) {
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work_forever, NULL) == 0);
  }
}

static void exit_with_threads(void) {
  start_threads(8);
  work(500);
  exit(33);
}

static void exit_in_thread(void) {
  start_threads(4);
  work(500);
  pthread_exit(NULL); // the others go on; a timer ends the process from the signal's thread
}

static void on_alarm(int number) {
  (void)number;
  exit(33);
}

static void last_thread(void) {
  signal(SIGALRM, on_alarm);
  alarm(1);
  exit_in_thread();
}

static void end_at_once(int number) {
  (void)number;
  _exit(33);
}

// In a handler, wherever its thread was.
static void underscore_exit_in_handler(void) {
  signal(SIGALRM, end_at_once);
  start_threads(4);
  struct itimerval soon = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  work_forever(NULL);
}

// A handler's stack may have no room for a report.
static void underscore_exit_on_small_stack(void) {
  size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 2048;
  char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED && mprotect(memory, 1 << 19, PROT_NONE) == 0);
  stack_t small = {.ss_sp = memory + (1 << 19), .ss_size = size};
  struct sigaction action = {.sa_handler = end_at_once, .sa_flags = SA_ONSTACK};
  CHECK(sigaltstack(&small, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
  work(1000);
  raise(SIGUSR1);
}

// After misuse, when what is counted may be wrong and locks may be held.
static void underscore_exit_after_misuse(void) {
  signal(SIGABRT, end_at_once);
  work(1000);
  char *p = endings_site(100);
  free(hide(p + 16));
}

static pthread_barrier_t together;

static void *end_together(void *unused) {
  pthread_barrier_wait(&together);
  _exit(33);
  return unused;
}

static void underscore_exit_in_threads(void) {
  pthread_barrier_init(&together, NULL, 5);
  work(1000);
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, end_together, NULL) == 0);
  }
  pthread_barrier_wait(&together);
  exit(33);
}

static void replaced(void) {
  start_threads(4);
  work(1000);
  char *next[] = {arguments[0], "replacement", NULL};
  execv("/proc/self/exe", next);
  CHECK(!"execv");
}

static void replacement(void) {
  work(50);
  exit(33);
}

static void spawns(void) {
  start_threads(2);
  for (int i = 0; i < 60; i++) {
    char *next[] = {"true", NULL};
    pid_t child;
    int status = -1;
    CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, next, environ) == 0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    if (i % 10 == 0) {
      FILE *pipe = popen("echo out", "r");
      char line[10];
      CHECK(fgets(line, sizeof line, pipe) != NULL && strcmp(line, "out\n") == 0);
      CHECK(pclose(pipe) == 0 && system("exit 3") == 3 << 8);
    }
  }
  exit(33);
}

// As coreutils does it.
static void close_stderr(void) {
  CHECK(fclose(stdout) == 0);
  fclose(stderr);
}

static void closes_stderr(void) {
  atexit(close_stderr);
  work(100);
  exit(33);
}

static void write_mine(int fd) {
  char text[40];
  int size = snprintf(text, sizeof text, "file %d\n", fd);
  CHECK(write(fd, text, (size_t)size) == size);
}

// A daemon: closes all it has and opens files of its own until every number is taken, up to the limit.
static void takes_all_descriptors(void) {
  work(1000);
  raise(SIGUSR2);
  CHECK(close_range(0, ~0u, 0) == 0);
  CHECK(chdir(arguments[2]) == 0);
  int highest = -1;
  for (int fd; (fd = open("first", O_WRONLY | O_CREAT | O_APPEND, 0600)) >= 0; highest = fd) {
    char name[20];
    snprintf(name, sizeof name, "%d", fd);
    if (close(fd) != 0 || open(name, O_WRONLY | O_CREAT | O_EXCL, 0600) != fd)
      _exit(5);
    write_mine(fd);
    endings_site(100);
  }
  if (highest < 200)
    _exit(6);
  work(1000);
  exit(33);
}

// Started with descriptors 0 to 2 closed: the first files get those numbers.
static void started_closed(void) {
  for (int wanted = 0; wanted < 3; wanted++) {
    char name[500];
    snprintf(name, sizeof name, "%s/%d", arguments[2], wanted);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd != wanted)
      _exit(5);
    write_mine(fd);
  }
  work(1000);
  exit(33);
}

// Dumps while threads allocate.
static void signalled(void) {
  start_threads(4);
  for (int i = 0; i < 25; i++) {
    work(50);
    raise(SIGUSR2);
  }
  exit(33);
}

static void plain(void) {
  work(1000);
  exit(33);
}

int main(int argc, char **argv) {
  arguments = argv;
  static const struct test_case cases[] = {{"underscore_exit", underscore_exit},
                                           {"underscore_exit_in_handler", underscore_exit_in_handler},
                                           {"underscore_exit_on_small_stack", underscore_exit_on_small_stack},
                                           {"underscore_exit_after_misuse", underscore_exit_after_misuse},
                                           {"underscore_exit_in_threads", underscore_exit_in_threads},
                                           {"quick", quick},
                                           {"exit_with_threads", exit_with_threads},
                                           {"last_thread", last_thread},
                                           {"replaced", replaced},
                                           {"replacement", replacement},
                                           {"spawns", spawns},
                                           {"closes_stderr", closes_stderr},
                                           {"takes_all_descriptors", takes_all_descriptors},
                                           {"started_closed", started_closed},
                                           {"signalled", signalled},
                                           {"plain", plain}};
  return RUN_CASE(argc, argv, cases);
}
