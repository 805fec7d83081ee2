// SPDX-License-Identifier: BSD-2-Clause
#include "shim/shared_file.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/syscall.h"
#include "shim/system.h"

namespace m9 {
namespace {

constexpr int flags_of_file = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;

long folder_open(const char *folder) {
  constexpr int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  long fd = system_call(SYS_openat, AT_FDCWD, long(folder), flags);
  if (fd == -ENOENT && system_call(SYS_mkdirat, AT_FDCWD, long(folder), 0700) == 0)
    fd = system_call(SYS_openat, AT_FDCWD, long(folder), flags);
  return fd;
}

bool folder_is_safe(int fd) {
  struct stat about {};
  if (system_call(SYS_fstat, fd, long(&about)) != 0)
    return false;
  bool ours = about.st_uid == 0 || long(about.st_uid) == system_call(SYS_geteuid);
  return ours && (!(about.st_mode & (S_IWGRP | S_IWOTH)) || (about.st_mode & S_ISVTX));
}

bool size_is_allowed(uint64_t size) { // else SIGXFSZ
  rlimit limit{};
  return system_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, long(&limit)) != 0 || limit.rlim_cur >= size;
}

// Where the file system cannot rename without replacing, a second name cannot replace either.
long rename_to_new(int folder, const char *from, const char *to) {
  constexpr int no_replace = 1; // RENAME_NOREPLACE
  long result = system_call(SYS_renameat2, folder, long(from), folder, long(to), no_replace);
  if (result != -EINVAL && result != -ENOSYS)
    return result;
  result = system_call(SYS_linkat, folder, long(from), folder, long(to), 0);
  if (result == 0)
    system_call(SYS_unlinkat, folder, long(from), 0);
  return result;
}

long file_fill(const char *name, uint64_t size, shared_file &file) {
  if (!size_is_allowed(size))
    return -EFBIG;
  if (long failed = system_call(SYS_ftruncate, file.owner, long(size)))
    return failed;
  struct flock all {};
  all.l_type = F_WRLCK;
  if (long failed = system_call(SYS_fcntl, file.owner, F_OFD_SETLK, long(&all)))
    return failed;
  file.other = int(system_call(SYS_openat, file.folder, long(name), flags_of_file));
  return file.other < 0 ? file.other : 0; // nobody else can have replaced it in such a folder
}

} // namespace

long shared_file_create(const char *folder, const char *name, uint64_t size, shared_file &file) {
  long at = folder_open(folder);
  if (at < 0)
    return at;
  file.folder = int(at);
  long result = -EPERM;
  if (folder_is_safe(file.folder))
    result = system_call(SYS_openat, at, long(name), flags_of_file | O_CREAT | O_EXCL, 0600);
  if (result < 0) {
    shared_file_close(file);
    return result;
  }
  file.owner = int(result);
  result = file_fill(name, size, file);
  if (result < 0)
    shared_file_discard(file, name);
  return result < 0 ? result : 0;
}

long shared_file_allocate(const shared_file &file, uint64_t offset, uint64_t size) {
  return system_call(SYS_fallocate, file.other, 0, long(offset), long(size));
}

long shared_file_write(const shared_file &file, uint64_t offset, const void *from, uint64_t size) {
  long n = system_call(SYS_pwrite64, file.other, long(from), long(size), long(offset));
  return n < 0 ? n : uint64_t(n) == size ? 0 : -ENOSPC;
}

bool shared_file_peek(const char *folder, const char *name, void *to, uint64_t size) {
  long at = folder_open(folder);
  if (at < 0)
    return false;
  long fd = system_call(SYS_openat, at, long(name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  file_close(int(at));
  if (fd < 0)
    return false;
  struct flock all {};
  all.l_type = F_RDLCK; // also shows whether there is a lock for writing
  bool good = system_call(SYS_fcntl, fd, F_OFD_GETLK, long(&all)) == 0 && all.l_type == F_UNLCK &&
              system_call(SYS_read, fd, long(to), long(size)) == long(size);
  file_close(int(fd));
  return good;
}

long shared_file_publish(const shared_file &file, const char *from, const char *to, bool replace) {
  return replace ? system_call(SYS_renameat, file.folder, long(from), file.folder, long(to))
                 : rename_to_new(file.folder, from, to);
}

void shared_file_discard(shared_file &file, const char *name) {
  system_call(SYS_unlinkat, file.folder, long(name), 0);
  shared_file_close(file);
}

void shared_file_close(shared_file &file) {
  for (int fd : {file.owner, file.other, file.folder})
    if (fd >= 0)
      file_close(fd);
  file = {};
}

void shared_file_remove(const char *folder, const char *name) {
  long at = folder_open(folder);
  if (at < 0)
    return;
  system_call(SYS_unlinkat, at, long(name), 0);
  file_close(int(at));
}

void shared_file_rename(const char *folder, const char *from, const char *to) {
  long at = folder_open(folder);
  if (at < 0)
    return;
  rename_to_new(int(at), from, to);
  file_close(int(at));
}

namespace {
uint64_t process_started_ticks() {
  char text[1024];
  long fd = system_call(SYS_openat, AT_FDCWD, long("/proc/self/stat"), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  long n = system_call(SYS_read, fd, long(text), sizeof text - 1);
  file_close(int(fd));
  if (n <= 0)
    return 0;
  text[n] = 0;
  const char *s = strrchr(text, ')'); // behind the name, which may hold anything; then field 3
  for (int field = 2; s && field < 22; field++)
    s = (s = strchr(s, ' ')) ? s + 1 : nullptr;
  uint64_t ticks = 0;
  for (; s && *s >= '0' && *s <= '9'; s++)
    ticks = ticks * 10 + uint64_t(*s - '0');
  return ticks;
}
} // namespace

uint64_t process_started_ns() {
  uint64_t ticks = process_started_ticks();
  timespec since_boot{};
  if (ticks == 0 || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0)
    return 0;
  constexpr uint64_t second = 1000000000;
  return clock_real_ns() - (uint64_t(since_boot.tv_sec) * second + uint64_t(since_boot.tv_nsec)) +
         ticks * (second / 100); // USER_HZ
}

uint64_t process_namespace() {
  char text[64];
  uint64_t inode = 0;
  if (link_read("/proc/self/ns/pid", text, sizeof text)) // pid:[N]
    for (const char *s = text; *s; s++)
      if (*s >= '0' && *s <= '9')
        inode = inode * 10 + uint64_t(*s - '0');
  return inode;
}

} // namespace m9
