// SPDX-License-Identifier: BSD-2-Clause
#include "shim/system.h"

#include <cerrno>
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

bool secure_execution() { return getauxval(AT_SECURE) != 0; }

uint32_t cpu_ids_possible() {
  // The call returns how many bytes the kernel's own CPU mask has, whatever the process may run on.
  unsigned long mask[1024 / 8] = {};
  long bytes = system_call(SYS_sched_getaffinity, 0, sizeof mask, long(mask));
  return bytes > 0 ? uint32_t(bytes) * 8 : 8192;
}

long file_read(const char *path, char *to, size_t size) {
  long fd = system_call(SYS_openat, AT_FDCWD, long(path), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  size_t done = 0;
  while (done < size) {
    long n = system_call(SYS_read, fd, long(to + done), long(size - done));
    if (n == -EINTR)
      continue;
    if (n <= 0)
      break;
    done += size_t(n);
  }
  system_call(SYS_close, fd);
  return long(done);
}

bool link_read(const char *path, char *to, size_t size) {
  long n = system_call(SYS_readlinkat, AT_FDCWD, long(path), long(to), long(size));
  if (n < 0 || size_t(n) >= size)
    return false;
  to[n] = 0;
  return true;
}

int file_create(const char *path) {
  return int(
      system_call(SYS_openat, AT_FDCWD, long(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
}

long file_write(int fd, const void *from, size_t size) {
  const char *p = static_cast<const char *>(from);
  while (size > 0) {
    long n = system_call(SYS_write, fd, long(p), long(size));
    if (n == -EINTR)
      continue;
    if (n == -EAGAIN) { // a terminal or pipe that another program made non-blocking
      timespec pause{0, 1000000};
      system_call(SYS_nanosleep, long(&pause));
      continue;
    }
    if (n < 0)
      return n;
    p += n;
    size -= size_t(n);
  }
  return 0;
}

int file_close(int fd) { return int(system_call(SYS_close, fd)); }
int file_rename(const char *from, const char *to) {
  return int(system_call(SYS_renameat, AT_FDCWD, long(from), AT_FDCWD, long(to)));
}
void file_remove(const char *path) { system_call(SYS_unlinkat, AT_FDCWD, long(path), 0); }

int descriptor_keep(int fd) {
  rlimit limit{};
  long lowest = 0;
  if (system_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, long(&limit)) == 0)
    lowest = long(limit.rlim_cur > 1024 ? 1000 : limit.rlim_cur * 3 / 4);
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

bool descriptor_same(int fd, uint64_t device, uint64_t inode) {
  uint64_t d, i;
  return fd >= 0 && descriptor_identity(fd, d, i) && d == device && i == inode;
}

const char *error_text(long negated_errno) {
  switch (-negated_errno) {
  case ENOSPC:
    return "no space left on device";
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
  case ELOOP:
    return "is a symbolic link";
  case ENOMEM:
    return "out of memory";
  default:
    return "input/output error";
  }
}

} // namespace m9
