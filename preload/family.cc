// SPDX-License-Identifier: BSD-2-Clause
//
// What several names share, and glibc's tuning and reporting calls.
#include <cstdio>
#include <malloc.h>

#include "core/decay.h"
#include "core/heap.h"
#include "core/large.h"
#include "core/layout.h"
#include "core/misuse.h"
#include "preload/kinds.h"
#include "preload/report.h"
#include "shim/modules.h"
#include "shim/pages.h"
#include "shim/system.h"

namespace m9 {

void *calloc_from(size_t n, size_t size, call_frame f) {
  size_t total;
  if (__builtin_mul_overflow(n, size, &total))
    return or_enomem(nullptr);
  if (total >= fast.medium_limit)
    return or_enomem(calloc_slow(total, f));
  void *p = malloc_fast<libc_kind>(total, f);
  return p ? __builtin_memset(p, 0, total) : nullptr;
}

namespace {

// Counted as one allocation and one free.
void *realloc_copy(void *p, size_t old_size, size_t size, call_frame f) {
  void *q = malloc_fast<libc_kind>(size, f);
  if (!q)
    return nullptr;
  __builtin_memcpy(q, p, old_size < size ? old_size : size);
  free_fast(p);
  return q;
}

// The rest: large blocks, libc's own, and every mode but rseq.
void *realloc_slow(void *p, size_t size, call_frame f) {
  heap_enter();
  size_t old_size = checked_size(p, "realloc");
  if (old_size == 0) {
    heap_note_add(heap_note::foreign_frees);
    return libc_call<void *(void *, size_t)>("realloc")(p, size);
  }
  if (void *same = realloc_in_place(p, size))
    return same;
  if (old_size > zone_size_max && size > zone_size_max)
    if (void *moved = large_move(p, size, f))
      return moved;
  return realloc_copy(p, old_size, size, f);
}

} // namespace

// C23 7.24.3.7, glibc's choice for size 0: frees p and returns NULL. A block that can stay counts nothing, but for
// large ones' bytes; one that moves belongs to the caller.
void *realloc_from(void *p, size_t size, call_frame f) {
  if (!p)
    return malloc_fast<libc_kind>(size, f);
  if (size == 0) {
    free_fast(p);
    return nullptr;
  }
  if (const zone *z = zone_of_held(p)) [[likely]]
    return zone_serves(*z, size) ? p : realloc_copy(p, zone_size(*z), size, f);
  return realloc_slow(p, size, f);
}

// memalign(3): an alignment that is no power of two is rounded up to one; above SIZE_MAX / 2 + 1 it is EINVAL.
void *memalign_from(size_t alignment, size_t size, call_frame f) {
  if (alignment > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return nullptr;
  }
  size_t power = 16;
  while (power < alignment)
    power *= 2;
  return power == 16 ? malloc_fast<libc_kind>(size, f) : or_enomem(aligned_slow(power, size, f));
}

// valloc(3): page-aligned; pvalloc rounds the size up to whole pages, 0 to one.
void *valloc_from(size_t size, bool whole_pages, call_frame f) {
  size_t page = page_size();
  if (whole_pages) {
    if (size > PTRDIFF_MAX)
      return or_enomem(nullptr);
    size = size ? (size + page - 1) & ~(page - 1) : page;
  }
  return or_enomem(aligned_slow(page, size, f));
}

// POSIX: returns EINVAL or ENOMEM, leaves errno and *to alone on failure.
int posix_memalign_from(void **to, size_t alignment, size_t size, call_frame f) {
  if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
    return EINVAL;
  void *p = aligned_slow(alignment < 16 ? 16 : alignment, size, f);
  if (!p)
    return ENOMEM;
  *to = p;
  return 0;
}

void free_checked(void *p, size_t size, size_t alignment) {
  if (p && size_mismatch(p, size, alignment))
    heap_note_add(heap_note::size_mismatches);
  free_fast(p);
}

} // namespace m9

using namespace m9;

M9_EXPORT int malloc_trim(size_t) { return decay_everything(); }
M9_EXPORT int mallopt(int, int) { return 1; } // accepted: glibc's tunables have no meaning here
M9_EXPORT void malloc_stats() { report_table(); }

M9_EXPORT struct mallinfo2 mallinfo2() {
  struct mallinfo2 info {};
  report_totals t = report_total();
  info.arena = pages_opened_bytes();
  info.uordblks = t.live_bytes;
  info.ordblks = t.live_blocks;
  info.fordblks = info.arena > t.live_bytes ? info.arena - t.live_bytes : 0;
  info.keepcost = decay_idle();
  return info;
}

M9_EXPORT struct mallinfo mallinfo() {
  struct mallinfo2 wide = mallinfo2();
  auto narrow = [](size_t v) { return v > INT32_MAX ? INT32_MAX : int(v); };
  struct mallinfo info {};
  info.arena = narrow(wide.arena);
  info.uordblks = narrow(wide.uordblks);
  info.ordblks = narrow(wide.ordblks);
  info.fordblks = narrow(wide.fordblks);
  info.keepcost = narrow(wide.keepcost);
  return info;
}

M9_EXPORT int malloc_info(int options, FILE *to) {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  struct mallinfo2 info = mallinfo2();
  int n = fprintf(to, "<malloc version=\"malloc9\">\n<total type=\"live\" count=\"%zu\" size=\"%zu\"/>\n", info.ordblks,
                  info.uordblks);
  n = n < 0 ? n : fprintf(to, "<system type=\"current\" size=\"%zu\"/>\n</malloc>\n", info.arena);
  return n < 0 ? -1 : 0;
}
