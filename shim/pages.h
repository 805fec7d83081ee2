// SPDX-License-Identifier: BSD-2-Clause
//
// Pages: the only user of mmap and its kin. Addresses and sizes are multiples of the page size. Functions that may
// fail return false or 0 and change nothing; none touches errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

// Address space without memory behind it, not dumped into core files; 0 when it is refused.
uintptr_t pages_reserve(size_t size);
// Makes a part of a reservation readable and writable. It reads as zeros. `dumped`: core dumps have it already.
bool pages_open(uintptr_t address, size_t size, bool dumped = false);
// Makes a part of a reservation readable only (and zero); costs no commit charge.
bool pages_open_readable(uintptr_t address, size_t size);
// Fresh zeroed memory outside of any reservation; 0 when it is refused.
uintptr_t pages_map(size_t size);
void pages_unmap(uintptr_t address, size_t size);
// Replaces what is mapped there by fresh zeroed memory.
bool pages_renew(uintptr_t address, size_t size);
// Gives the memory back to the kernel. True: the pages now read as zeros. False (locked pages): they keep their bytes.
bool pages_purge(uintptr_t address, size_t size);
// Brings the pages of a range in by one call instead of a fault each: zero pages to be read, or memory to be written.
// Only a matter of time; kernels before 5.14 cannot.
void pages_populate(uintptr_t address, size_t size, bool to_write);
// Moves pages onto a mapped range of the same size without copying; the old range stays mapped and reads as zeros.
bool pages_move(uintptr_t from, size_t size, uintptr_t to);
// Whether core dumps have these pages. False: the kernel refused.
bool pages_dump(uintptr_t address, size_t size, bool dump);
// Private page that any child, however made, sees as zeros. False: the kernel cannot.
bool pages_wipe_on_fork(uintptr_t address, size_t size);

// A part of a file, shared; 0 when it is refused. Nothing of it may be used before pages_allocate.
uintptr_t pages_map_file(int fd, uint64_t offset, size_t size, bool allow);
// In the place of what is mapped there, at once.
bool pages_map_file_at(uintptr_t address, int fd, uint64_t offset, size_t size);
// Makes it readable and writable as a whole, where it was not mapped so.
bool pages_allow(uintptr_t address, size_t size);
// Allocates every page of it in the file. False: the file system is full, or the kernel older than 5.14.
bool pages_allocate(uintptr_t address, size_t size);
// Puts what is mapped at `from` in the place of what is mapped at `to`, at once. It must be one mapping.
bool pages_replace(uintptr_t from, size_t size, uintptr_t to);
// Unmaps what pages_map_file gave.
void pages_drop(uintptr_t address, size_t size);
// No child has the mapping.
bool pages_keep_from_children(uintptr_t address, size_t size);

// Bytes mapped by pages_map and pages_open, for the audit.
uint64_t pages_opened_bytes();
uint64_t pages_purged_bytes(); // given back so far

} // namespace m9
