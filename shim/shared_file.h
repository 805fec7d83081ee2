// SPDX-License-Identifier: BSD-2-Clause
//
// A file in a folder that others may write to, made so that nothing of theirs is followed or touched: the folder is no
// link and belongs to this user or to root, and nobody else may remove what is ours; the file is new, of mode 0600, and
// locked for as long as `owner` lives. It is made under one name and, when it is whole, gets the name that others know.
//
// The lock belongs to an open file (F_OFD_SETLK): a mapping made by `owner` keeps it, with no descriptor that a program
// could close or a child have; the kernel drops it when the process dies or execs. A lock of fcntl's old kind would be
// lost when the program closes what it believes to be nobody's descriptor, one of flock's be shared with children.
#pragma once

#include <cstdint>

namespace m9 {

struct shared_file {
  int owner = -1; // has the lock; what is mapped by it must be kept from children
  int other = -1; // the same file, opened once more
  int folder = -1;
};

// `name` in `folder`, which is made if it is missing, of `size` bytes without memory behind them. Returns 0 or a
// negated errno; EPERM: the folder is not safe; EEXIST: the name is taken.
long shared_file_create(const char *folder, const char *name, uint64_t size, shared_file &file);
// Allocates a part of it, or that and writes. 0 or a negated errno.
long shared_file_allocate(const shared_file &file, uint64_t offset, uint64_t size);
long shared_file_write(const shared_file &file, uint64_t offset, const void *from, uint64_t size);
// From then on its name is `to`. What has that name already is replaced only if `replace`, else the result is EEXIST.
long shared_file_publish(const shared_file &file, const char *from, const char *to, bool replace);
void shared_file_discard(shared_file &file, const char *name); // removes and closes it
void shared_file_close(shared_file &file);
void shared_file_remove(const char *folder, const char *name);
void shared_file_rename(const char *folder, const char *from, const char *to); // unless `to` is there
// Reads the first bytes of another one; true: they are there, and nobody has its lock.
bool shared_file_peek(const char *folder, const char *name, void *to, uint64_t size);

uint64_t process_started_ns(); // CLOCK_REALTIME, within some 10 ms; exec does not change it. 0: unknown
uint64_t process_namespace();  // inode of its pid namespace; 0: unknown

} // namespace m9
