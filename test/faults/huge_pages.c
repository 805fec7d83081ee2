// SPDX-License-Identifier: BSD-2-Clause
//
// Preloaded beside the library under test: asks for huge pages in all anonymous memory that is mapped when it starts,
// and at the end writes the process's peak RSS in KiB to the file named by HUGE_PAGES_OUT. With HUGE_PAGES=0 it only
// writes.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void advise_line(const char *line) {
  unsigned long low, high;
  char perms[8], path[300] = "";
  if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %299s", &low, &high, perms, path) < 3 || path[0] != 0)
    return;
  madvise((void *)low, high - low, MADV_HUGEPAGE);
}

__attribute__((constructor)) static void start(void) {
  static char text[1 << 18];
  const char *wanted = getenv("HUGE_PAGES");
  if (wanted != NULL && wanted[0] == '0')
    return;
  void *volatile first = malloc(1); // the allocator has mapped what it maps at start
  free(first);
  size_t size = 0;
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  for (ssize_t n; size < sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0;)
    size += (size_t)n;
  close(fd);
  for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    *end = 0;
    advise_line(line);
  }
}

__attribute__((destructor)) static void end(void) {
  static char text[8192];
  int in = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const char *path = getenv("HUGE_PAGES_OUT");
  int out = open(path != NULL ? path : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ssize_t size = read(in, text, sizeof text - 1);
  const char *found = size > 0 ? strstr(text, "VmHWM:") : NULL;
  dprintf(out, "%ld\n", found != NULL ? atol(found + 6) : -1L);
  close(in);
  close(out);
}
