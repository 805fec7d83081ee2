// SPDX-License-Identifier: BSD-2-Clause
//
// Small services of the operating system: clock, identity, files. Nothing here allocates or touches errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

uint32_t page_size();       // bytes, read at run time
uint64_t clock_coarse_ms(); // CLOCK_MONOTONIC_COARSE
uint64_t clock_real_ns();   // CLOCK_REALTIME
uint32_t process_id();      // the kernel's, never cached
uint32_t process_parent();
bool on_signal_stack();                    // of sigaltstack, which may be small
void wait_ms(uint32_t ms);                 // at least, unless a signal comes
[[noreturn]] void process_end(int status); // at once, as _exit(2) does it
bool secure_execution();                   // setuid and the like: the environment is not to be trusted
uint32_t cpu_ids_possible();               // one more than the highest CPU id that may be seen

// Reads a regular file of at most `size` bytes; returns how many it has, or a negated errno: EMEDIUMTYPE for what is no
// regular file, EFBIG for one that is larger.
long file_read(const char *path, char *to, size_t size);
// Target of a symbolic link, terminated; false when it cannot be read or does not fit.
bool link_read(const char *path, char *to, size_t size);

// Descriptors. Results below 0 are negated errno values.
// A new or emptied regular file (`only_new`: there must be none); a link is not followed.
int file_create(const char *path, bool only_new);
// Something that is there and is no regular file: a device, a pipe, a link to anything; it is written to as it is.
bool file_is_special(const char *path);
int file_open_special(const char *path);
// Writes all of it, or returns the error. A closed pipe or a file size limit is an error, never a signal.
long file_write(int fd, const void *from, size_t size);
int file_close(int fd);
int file_rename(const char *from, const char *to);
void file_remove(const char *path);
int descriptor_keep(int fd);       // a high close-on-exec duplicate
bool descriptor_is_stream(int fd); // open, and no regular file
bool descriptor_same(int fd, uint64_t device, uint64_t inode);
bool descriptor_identity(int fd, uint64_t &device, uint64_t &inode);
extern const long error_no_memory, error_no_space; // negated errno values
const char *error_text(long negated_errno);
bool error_is_taken(long negated_errno);   // it exists
bool error_is_missing(long negated_errno); // there is no such file or folder

} // namespace m9
