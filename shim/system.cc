// SPDX-License-Identifier: BSD-2-Clause
#include "shim/system.h"

#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/syscall.h"

namespace m9 {

uint32_t page_size() { return uint32_t(getauxval(AT_PAGESZ)); }

uint64_t clock_coarse_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1000000;
}

uint64_t clock_real_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return uint64_t(now.tv_sec) * 1000000000 + uint64_t(now.tv_nsec);
}

uint32_t process_id() { return uint32_t(system_call(SYS_getpid)); }

uint32_t process_parent() { return uint32_t(system_call(SYS_getppid)); }

bool on_signal_stack() {
  stack_t now{};
  return system_call(SYS_sigaltstack, 0, long(&now)) == 0 && (now.ss_flags & SS_ONSTACK);
}

void wait_ms(uint32_t ms) {
  timespec pause{ms / 1000, long(ms % 1000) * 1000000};
  system_call(SYS_nanosleep, long(&pause));
}

void process_end(int status) {
  for (;;)
    system_call(SYS_exit_group, status);
}

bool secure_execution() { return getauxval(AT_SECURE) != 0; }

uint32_t cpu_ids_possible() {
  // The call returns how many bytes the kernel's own CPU mask has, whatever the process may run on.
  unsigned long mask[1024 / 8] = {};
  long bytes = system_call(SYS_sched_getaffinity, 0, sizeof mask, long(mask));
  return bytes > 0 ? uint32_t(bytes) * 8 : 8192;
}

long file_read(const char *path, char *to, size_t size) {
  long fd = system_call(SYS_openat, AT_FDCWD, long(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fd;
  struct stat about {};
  size_t done = 0;
  long n = system_call(SYS_fstat, fd, long(&about));
  if (n == 0 && !S_ISREG(about.st_mode))
    n = -EMEDIUMTYPE;
  else if (n == 0 && uint64_t(about.st_size) > size)
    n = -EFBIG;
  while (n == 0 && done < size) {
    long got = system_call(SYS_read, fd, long(to + done), long(size - done));
    if (got == 0)
      break;
    if (got > 0)
      done += size_t(got);
    else if (got != -EINTR)
      n = got;
  }
  system_call(SYS_close, fd);
  return n < 0 ? n : long(done);
}

bool link_read(const char *path, char *to, size_t size) {
  long n = system_call(SYS_readlinkat, AT_FDCWD, long(path), long(to), long(size));
  if (n < 0 || size_t(n) >= size)
    return false;
  to[n] = 0;
  return true;
}

int file_create(const char *path, bool only_new) {
  int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (only_new ? O_EXCL : O_TRUNC);
  return int(system_call(SYS_openat, AT_FDCWD, long(path), flags, 0600));
}

bool file_is_special(const char *path) {
  struct stat about {};
  return system_call(SYS_newfstatat, AT_FDCWD, long(path), long(&about), AT_SYMLINK_NOFOLLOW) == 0 &&
         !S_ISREG(about.st_mode);
}

int file_open_special(const char *path) {
  return int(system_call(SYS_openat, AT_FDCWD, long(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600));
}

namespace {

long write_all(int fd, const char *p, size_t size) {
  while (size > 0) {
    long n = system_call(SYS_write, fd, long(p), long(size));
    if (n == -EINTR)
      continue;
    if (n == -EAGAIN) { // a terminal or pipe that another program made non-blocking
      wait_ms(1);
      continue;
    }
    if (n < 0)
      return n;
    p += n;
    size -= size_t(n);
  }
  return 0;
}

} // namespace

long file_write(int fd, const void *from, size_t size) {
  constexpr uint64_t of_writing = uint64_t{1} << (SIGPIPE - 1) | uint64_t{1} << (SIGXFSZ - 1);
  uint64_t mask = 0, pending = 0;
  system_call(SYS_rt_sigprocmask, SIG_BLOCK, long(&of_writing), long(&mask), sizeof mask);
  system_call(SYS_rt_sigpending, long(&pending), sizeof pending);
  long result = write_all(fd, static_cast<const char *>(from), size);
  if (result == -EPIPE || result == -EFBIG) {
    uint64_t ours = of_writing & ~pending; // not what was on its way to the program before
    timespec now{};
    system_call(SYS_rt_sigtimedwait, long(&ours), 0, long(&now), sizeof ours);
  }
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, long(&mask), 0, sizeof mask);
  return result;
}

int file_close(int fd) { return int(system_call(SYS_close, fd)); }
int file_rename(const char *from, const char *to) {
  return int(system_call(SYS_renameat, AT_FDCWD, long(from), AT_FDCWD, long(to)));
}
void file_remove(const char *path) { system_call(SYS_unlinkat, AT_FDCWD, long(path), 0); }

int descriptor_keep(int fd) {
  rlimit limit{};
  if (system_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, long(&limit)) != 0 || limit.rlim_cur < 64)
    return -1; // each one counts: the program needs them more
  long lowest = long(limit.rlim_cur > 1024 ? 1000 : limit.rlim_cur * 3 / 4);
  return int(system_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest));
}

bool descriptor_identity(int fd, uint64_t &device, uint64_t &inode) {
  struct stat about {};
  if (system_call(SYS_newfstatat, fd, long(""), long(&about), 0x1000 /* AT_EMPTY_PATH */) != 0)
    return false;
  device = about.st_dev;
  inode = about.st_ino;
  return true;
}

bool descriptor_is_stream(int fd) {
  struct stat about {};
  return system_call(SYS_fstat, fd, long(&about)) == 0 && !S_ISREG(about.st_mode);
}

bool descriptor_same(int fd, uint64_t device, uint64_t inode) {
  uint64_t d, i;
  return fd >= 0 && descriptor_identity(fd, d, i) && d == device && i == inode;
}

const long error_no_memory = -ENOMEM, error_no_space = -ENOSPC;

bool error_is_taken(long negated_errno) { return negated_errno == -EEXIST; }
bool error_is_missing(long negated_errno) { return negated_errno == -ENOENT; }

const char *error_text(long negated_errno) {
  switch (-negated_errno) {
  case ENOSPC:
    return "no space left on device";
  case EPERM: // shared_file_create says so
    return "is not a folder of ours alone";
  case EACCES:
    return "permission denied";
  case ENOENT:
    return "no such file or directory";
  case EROFS:
    return "read-only file system";
  case EISDIR:
    return "is a directory";
  case ENOTDIR:
    return "not a directory";
  case EMFILE:
    return "too many open files";
  case EDQUOT:
    return "disk quota exceeded";
  case EFBIG:
    return "file too large";
  case EPIPE:
    return "broken pipe";
  case ELOOP:
    return "is a symbolic link";
  case EMEDIUMTYPE: // file_read says so
    return "is not a regular file";
  case ENOMEM:
    return "out of memory";
  default:
    return "input/output error";
  }
}

} // namespace m9
