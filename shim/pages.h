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
// Makes a part of a reservation readable and writable. It reads as zeros.
bool pages_open(uintptr_t address, size_t size);
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

// Bytes mapped by pages_map and pages_open, for the audit.
uint64_t pages_opened_bytes();
uint64_t pages_purged_bytes(); // given back so far

} // namespace m9
