// SPDX-License-Identifier: BSD-2-Clause
//
// forks HOW: a parent with 100 items makes a child by fork, _Fork, clone (the system call) or exec, which allocates,
// says so and waits for a line; then the parent. `forks again` is what exec makes of the child; `forks many N` makes N.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))
SITE void *site_both(size_t n) {
  void *p = malloc(n);
  __asm__ volatile("" : "+r"(p));
  return p;
}
SITE void *site_child(size_t n) {
  void *p = malloc(n);
  __asm__ volatile("# %1" : "+r"(p) : "i"(1));
  return p;
}

static void say(const char *who) {
  char line[64];
  int n = snprintf(line, sizeof line, "%s %d\n", who, (int)getpid());
  if (write(1, line, (size_t)n) != n)
    _exit(3);
  if (read(0, line, 1) != 1)
    _exit(4);
}

static void child(const char *how) {
  for (int i = 0; i < 5000; i++)
    free(site_child(48));
  for (int i = 0; i < 500; i++)
    site_both(48);
  if (strcmp(how, "exec") == 0)
    execl("/proc/self/exe", "forks", "again", (char *)NULL);
  say("child");
  _exit(0);
}

static pid_t make(const char *how) {
  if (strcmp(how, "_Fork") == 0)
    return _Fork();
  if (strcmp(how, "clone") == 0)
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  return fork();
}

static int many(int n) {
  for (int i = 0; i < n; i++)
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (int j = 0; j < 200; j++)
        site_both(48);
      pause();
    }
  say("many");
  kill(0, SIGKILL);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3)
    return many(atoi(argv[2]));
  if (strcmp(argv[1], "again") == 0) {
    for (int i = 0; i < 300; i++)
      site_both(64);
    say("child");
    return 0;
  }
  for (int i = 0; i < 100; i++)
    site_both(48);
  pid_t pid = make(argv[1]);
  if (pid == 0)
    child(argv[1]);
  say("parent");
  int status = 0;
  waitpid(pid, &status, 0);
  return status != 0;
}
