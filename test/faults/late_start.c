// SPDX-License-Identifier: BSD-2-Clause
//
// late_start CASE: what allocates nothing until late. Prints malloc_stats() at its end, so that nothing needs to be
// said in MALLOC9_CONF: a report would make the heap begin in the constructor.
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { of_child = 300, of_parent = 1000 };

__attribute__((noinline)) void *late_site(size_t size) {
  void *volatile p = malloc(size);
  return p;
}

// Whether there is a mapping as large as the zones' reservation, some TiB.
static int heap_has_begun(void) {
  static char maps[1 << 16];
  int fd = open("/proc/self/maps", O_RDONLY);
  size_t size = 0;
  for (ssize_t n; (n = read(fd, maps + size, sizeof maps - 1 - size)) > 0; size += (size_t)n)
    ;
  close(fd);
  for (char *line = maps; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : 0) {
    char *end;
    unsigned long from = strtoul(line, &end, 16), to = strtoul(end + 1, 0, 16);
    if (to - from > 1ul << 40)
      return 1;
  }
  return 0;
}

static void first_in_child(int result) {
  if (result == 0) {
    for (int i = 0; i < of_child; i++)
      free(late_site(100));
    for (int i = 0; i < of_child; i++)
      late_site(100);
    _exit(0);
  }
  int status;
  if (result < 0 || waitpid(result, &status, 0) != result || status != 0)
    _exit(3);
}

int main(int argc, char **argv) {
  if (argc != 2 || heap_has_begun())
    return 2;
  if (strcmp(argv[1], "vfork") == 0)
    first_in_child(vfork());
  if (strcmp(argv[1], "fork") == 0)
    first_in_child(fork());
  for (int i = 0; i < of_parent; i++)
    late_site(100);
  if (!heap_has_begun())
    return 4;
  malloc_stats();
  return 0;
}
