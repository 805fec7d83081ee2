// SPDX-License-Identifier: BSD-2-Clause
//
// closed_stderr FILE: stderr is closed and its number belongs to a file of the program when an item is freed twice: the
// process is stopped and nothing is written into that file.
#include "misuse.h"
#include <fcntl.h>

int main(int argc, char **argv) {
  begin(argc, argv);
  void *p = alloc_here(64);
  close(2);
  if (argc < 2 || open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600) != 2 || write(2, "mine", 4) != 4)
    return 4;
  free(p);
  return misuse("free", p);
}
