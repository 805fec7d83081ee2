// SPDX-License-Identifier: BSD-2-Clause
//
// double_free_in_child: a forked child frees what its parent had freed before; the parent then ends as the child did.
#include "misuse.h"
#include <signal.h>
#include <sys/wait.h>

int main(int argc, char **argv) {
  begin(argc, argv);
  void *p = alloc_here(64);
  announce("double free of %p: an item of 64 bytes, last of type @alloc_here", p);
  free(p);
  pid_t child = fork();
  if (child == 0)
    _exit(misuse("free", p));
  int status = 0;
  waitpid(child, &status, 0);
  if (calm || !WIFSIGNALED(status))
    return calm ? 0 : 3;
  signal(WTERMSIG(status), SIG_DFL);
  return raise(WTERMSIG(status));
}
