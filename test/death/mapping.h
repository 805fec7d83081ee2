// SPDX-License-Identifier: BSD-2-Clause
//
// The mapping that an address lies in, worded as the library is to word it. Allocates nothing.
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char mapping_text[600];

static inline const char *mapping_line(const char *line, uintptr_t address) {
  unsigned long low, high;
  char perms[8], path[500] = "";
  if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %499[^\n]", &low, &high, perms, path) < 3 || address < low ||
      address >= high)
    return NULL;
  const char *range_end = strchr(strchr(line, ' ') + 1, ' ');
  snprintf(mapping_text, sizeof mapping_text, "%s (%.*s)", path[0] ? path : "anonymous memory", (int)(range_end - line),
           line);
  return mapping_text;
}

static inline const char *mapping_of(const void *p) {
  static char text[1 << 20];
  size_t size = 0;
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  for (ssize_t n; size < sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0;)
    size += (size_t)n;
  close(fd);
  text[size] = 0;
  for (char *line = text, *next; (next = strchr(line, '\n')) != NULL; line = next + 1) {
    *next = 0;
    const char *found = mapping_line(line, (uintptr_t)p);
    if (found != NULL)
      return found;
  }
  return "no mapping";
}
