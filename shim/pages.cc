// SPDX-License-Identifier: BSD-2-Clause
#include "shim/pages.h"

#include <atomic>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/syscall.h"

namespace m9 {
namespace {

std::atomic<uint64_t> opened_bytes; // (a) relaxed
std::atomic<uint64_t> purged_bytes; // (a) relaxed

bool failed(long result) { return result < 0 && result > -4096; }

uintptr_t map(uintptr_t at, size_t size, int protection, int flags) {
  long p = system_call(SYS_mmap, long(at), long(size), protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return failed(p) ? 0 : uintptr_t(p);
}

} // namespace

uintptr_t pages_reserve(size_t size) {
  uintptr_t p = map(0, size, PROT_NONE, MAP_NORESERVE);
  if (p)
    system_call(SYS_madvise, long(p), long(size), MADV_DONTDUMP);
  return p;
}

bool pages_open(uintptr_t address, size_t size, bool dumped) {
  if (system_call(SYS_mprotect, long(address), long(size), PROT_READ | PROT_WRITE) != 0)
    return false;
  if (!dumped)
    system_call(SYS_madvise, long(address), long(size), MADV_DODUMP);
  opened_bytes.fetch_add(size, std::memory_order_relaxed);
  return true;
}

bool pages_open_readable(uintptr_t address, size_t size) {
  return system_call(SYS_mprotect, long(address), long(size), PROT_READ) == 0;
}

uintptr_t pages_map(size_t size) {
  uintptr_t p = map(0, size, PROT_READ | PROT_WRITE, 0);
  if (p)
    opened_bytes.fetch_add(size, std::memory_order_relaxed);
  return p;
}

void pages_unmap(uintptr_t address, size_t size) {
  if (system_call(SYS_munmap, long(address), long(size)) == 0)
    opened_bytes.fetch_sub(size, std::memory_order_relaxed);
}

bool pages_renew(uintptr_t address, size_t size) { return map(address, size, PROT_READ | PROT_WRITE, MAP_FIXED) != 0; }

bool pages_purge(uintptr_t address, size_t size) {
  if (system_call(SYS_madvise, long(address), long(size), MADV_DONTNEED) != 0)
    return false;
  purged_bytes.fetch_add(size, std::memory_order_relaxed);
  return true;
}

void pages_populate(uintptr_t address, size_t size, bool to_write) {
  constexpr int populate_read = 22, populate_write = 23;
  system_call(SYS_madvise, long(address), long(size), to_write ? populate_write : populate_read);
}

bool pages_move(uintptr_t from, size_t size, uintptr_t to) {
  constexpr int dontunmap = 4; // MREMAP_DONTUNMAP, Linux 5.7: no moment at which another mmap could take the old range
  return !failed(
      system_call(SYS_mremap, long(from), long(size), long(size), MREMAP_MAYMOVE | MREMAP_FIXED | dontunmap, long(to)));
}

bool pages_wipe_on_fork(uintptr_t address, size_t size) {
  return system_call(SYS_madvise, long(address), long(size), MADV_WIPEONFORK) == 0;
}

bool pages_dump(uintptr_t address, size_t size, bool dump) {
  return system_call(SYS_madvise, long(address), long(size), dump ? MADV_DODUMP : MADV_DONTDUMP) == 0;
}

uintptr_t pages_map_file(int fd, uint64_t offset, size_t size, bool allow) {
  long p = system_call(SYS_mmap, 0, long(size), allow ? PROT_READ | PROT_WRITE : PROT_NONE, MAP_SHARED | MAP_NORESERVE,
                       fd, long(offset));
  return failed(p) ? 0 : uintptr_t(p);
}

bool pages_map_file_at(uintptr_t address, int fd, uint64_t offset, size_t size) {
  return !failed(system_call(SYS_mmap, long(address), long(size), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, long(offset)));
}

void pages_drop(uintptr_t address, size_t size) {
  if (size)
    system_call(SYS_munmap, long(address), long(size));
}

bool pages_allow(uintptr_t address, size_t size) {
  return system_call(SYS_mprotect, long(address), long(size), PROT_READ | PROT_WRITE) == 0;
}

bool pages_allocate(uintptr_t address, size_t size) {
  constexpr int populate_write = 23; // MADV_POPULATE_WRITE: an error where a write would be a SIGBUS
  return system_call(SYS_madvise, long(address), long(size), populate_write) == 0;
}

bool pages_replace(uintptr_t from, size_t size, uintptr_t to) {
  return !failed(system_call(SYS_mremap, long(from), long(size), long(size), MREMAP_MAYMOVE | MREMAP_FIXED, long(to)));
}

bool pages_keep_from_children(uintptr_t address, size_t size) {
  return system_call(SYS_madvise, long(address), long(size), MADV_DONTFORK) == 0;
}

uint64_t pages_purged_bytes() { return purged_bytes.load(std::memory_order_relaxed); }
uint64_t pages_opened_bytes() { return opened_bytes.load(std::memory_order_relaxed); }

} // namespace m9
