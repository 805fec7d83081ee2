// SPDX-License-Identifier: BSD-2-Clause
//
// The library's side of malloc9.h: allocations of declared types, with the flags of malloc(9).
#include "core/declared.h"

#include <atomic>
#include <climits>
#include <pthread.h>

#include "core/decay.h"
#include "core/heap.h"
#include "core/large.h"
#include "core/large_cache.h"
#include "preload/kinds.h"
#include "preload/malloc9.h"
#include "preload/report.h"
#include "shim/panic.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {
namespace {

static_assert(sizeof(::malloc_type) == sizeof(malloc_type) && ::M_MAGIC == M_MAGIC);
static_assert(offsetof(::malloc_type, ks_handle) == offsetof(malloc_type, ks_handle));
static_assert(offsetof(::malloc_type, ks_shortdesc) == offsetof(malloc_type, ks_shortdesc));

malloc_type_internal *type_of(::malloc_type *t) { return declared_type(*reinterpret_cast<malloc_type *>(t)); }
::malloc_type *record_of(const malloc_type *t) {
  return reinterpret_cast<::malloc_type *>(const_cast<malloc_type *>(t));
}

// What stands for a return address in core/malloc.h.
struct type_place {
  uintptr_t key;
  malloc_type_internal *type;
  uintptr_t caller() const { return key; }
};

struct declared_kind {
  [[gnu::noinline]] static void *walk(uint64_t zone_key, size_t size, const site &, uint64_t key, type_place t) {
    if (uint64_t place = site_look(key)) [[likely]]
      return malloc_at<declared_kind>(zone_key, place);
    return slow(size, t);
  }
  [[gnu::noinline, gnu::cold]] static void *slow(size_t size, type_place t) {
    return malloc_slow(size, frame_of_subject(t.type));
  }
  [[gnu::noinline, gnu::cold]] static void *refill(unsigned c, uint64_t cell) { return malloc_refill(c, cell); }
};

std::atomic<uint64_t> failed_ms; // clock_coarse_ms() of the last NULL, 0: there was none (a) relaxed

// M_ZERO is for all that malloc_usable_size gives, so that realloc9 with M_ZERO has nothing to remember.
size_t usable(size_t size) { return size_served(size, 1); }

void *hidden_alloc(size_t size, malloc_type_internal *t, bool zero) {
  heap_enter();
  void *p = large_alloc(large_bytes(size ? size : 1), 1, zero, frame_of_subject(t));
  if (p)
    large_hide(p);
  return p;
}

void *zeroed_alloc(size_t size, malloc_type_internal *t) {
  size = usable(size);
  if (size >= fast.medium_limit)
    return calloc_slow(size, frame_of_subject(t));
  void *p = malloc_fast<declared_kind>(size, type_place{declared_key(*t), t});
  return p ? __builtin_memset(p, 0, size) : nullptr;
}

void *unusual_alloc(size_t size, malloc_type_internal *t, int flags) {
  if (size > PTRDIFF_MAX)
    return nullptr;
  return flags & M_NODUMP ? hidden_alloc(size, t, flags & M_ZERO) : zeroed_alloc(size, t);
}

[[gnu::always_inline]] inline void *type_alloc(size_t size, malloc_type_internal *t, int flags) {
  if (flags & (M_ZERO | M_NODUMP)) [[unlikely]]
    return unusual_alloc(size, t, flags);
  return malloc_fast<declared_kind>(size, type_place{declared_key(*t), t});
}

// Memory was refused. With M_WAITOK, tries again until it is not, as malloc(9) does; others may free, or a limit rise.
[[gnu::noinline, gnu::cold]] void *type_wait(size_t size, ::malloc_type *record, int flags) {
  if (!(flags & M_WAITOK)) {
    uint64_t now = clock_coarse_ms();
    failed_ms.store(now ? now : 1, std::memory_order_relaxed);
    return or_enomem(nullptr);
  }
  text_buffer<300> text;
  text.add("M_WAITOK: ").number(size).add(" bytes of type ").add(record->ks_shortdesc);
  if (size > PTRDIFF_MAX)
    panic(text.add(" can never be had").c_str());
  for (uint32_t ms = 1, waited = 0;; waited += ms, ms = ms < 100 ? ms * 2 : ms) {
    malloc_type_internal *t = type_of(record);
    if (void *p = t ? type_alloc(size, t, flags) : nullptr)
      return p;
    decay_everything();
    wait_ms(ms);
    if (waited < 1000 && waited + ms >= 1000)
      complain(text.add(": waiting for memory").c_str());
  }
}

// Whether p is an item of this type, by the direct table. False: perhaps not.
[[gnu::always_inline]] inline bool is_surely_of([[maybe_unused]] const void *p,
                                                [[maybe_unused]] const malloc_type_internal &t) {
#if M9_COUNTING
  uint64_t at = reinterpret_cast<uint64_t>(p) - zone_list.base, index;
  if (at >= fast.zones_limit)
    return false;
  const zone &z = zone_of_offset(at);
  if (!zone_index(z, p, index))
    return false;
  uint64_t key = declared_key(t) + zone_keys.of_class[zone_class(zone_number(z))];
  const site &s = site_direct(key);
  return s.key == key && place_stamp(s.place) == z.tags[index];
#else
  return true; // nothing is known of types
#endif
}

void type_check(const void *p, ::malloc_type *record, const char *call) {
  const malloc_type_internal *t = type_of(record);
  if (t && !is_surely_of(p, *t)) [[unlikely]]
    declared_check_free(p, *t, call);
}

// As realloc where the block may stay or its pages be moved; nullptr: it has to be copied.
void *realloc_cheaply(void *p, size_t before, size_t size, malloc_type_internal *t, int flags) {
  if (flags & M_NODUMP)
    return nullptr;
  if (void *same = realloc_in_place(p, size))
    return same;
  return before > zone_size_max && size > zone_size_max ? large_move(p, size, frame_of_subject(t)) : nullptr;
}

// A thread that ends inside a scope leaves it then. In thread-specific data only threads that were in one have an
// entry. Where the program has used up all keys, the scope stays, and with it malloc's slow path.
pthread_key_t ending_key;
bool ending_key_made;
pthread_once_t ending_once = PTHREAD_ONCE_INIT;

void scope_leave(void *) { scope_set(nullptr); }
void ending_start() { ending_key_made = pthread_key_create(&ending_key, scope_leave) == 0; }

// Before a scope begins, as it may allocate.
void ending_watch() {
  pthread_once(&ending_once, ending_start);
  if (ending_key_made && !pthread_getspecific(ending_key))
    pthread_setspecific(ending_key, &ending_key);
}

} // namespace
} // namespace m9

using m9::type_of;

M9_EXPORT void *m9_malloc(size_t size, ::malloc_type *type, int flags) {
  m9::malloc_type_internal *t = type_of(type);
  void *p = t ? m9::type_alloc(size, t, flags) : nullptr;
  return p ? p : m9::type_wait(size, type, flags);
}

M9_EXPORT void *m9_calloc(size_t n, size_t size, ::malloc_type *type, int flags) {
  size_t total;
  if (__builtin_mul_overflow(n, size, &total))
    total = SIZE_MAX;
  return m9_malloc(total, type, flags | M_ZERO);
}

// FreeBSD's realloc(9): a size of 0 is like 1. The block's own type has its books, whatever is named.
M9_EXPORT void *m9_realloc(void *p, size_t size, ::malloc_type *type, int flags) {
  if (!p)
    return m9_malloc(size, type, flags);
  size = size ? size : 1;
  m9::type_check(p, type, "realloc9");
  size_t before = m9::usable_size(p, "realloc9");
  m9::malloc_type_internal *t = type_of(type);
  if (void *q = t ? m9::realloc_cheaply(p, before, size, t, flags) : nullptr) {
    size_t now = m9::usable(size);
    if ((flags & M_ZERO) && now > before)
      __builtin_memset(static_cast<char *>(q) + before, 0, now - before);
    return q;
  }
  void *q = m9_malloc(size, type, flags);
  if (!q)
    return nullptr;
  __builtin_memcpy(q, p, before < size ? before : size);
  m9::free_fast(p);
  return q;
}

M9_EXPORT void *m9_reallocf(void *p, size_t size, ::malloc_type *type, int flags) {
  void *q = m9_realloc(p, size, type, flags);
  if (!q && p)
    m9_free(p, type);
  return q;
}

M9_EXPORT void m9_free(void *p, ::malloc_type *type) {
  if (!p)
    return;
  m9::type_check(p, type, "free9");
  m9::free_fast(p);
}

M9_EXPORT void m9_type_allocated(::malloc_type *type, size_t size) {
  m9::malloc_type_internal *t = type_of(type);
  if (t && size)
    m9::declared_pool_count(*t, size, true);
}

M9_EXPORT void m9_type_freed(::malloc_type *type, size_t size) {
  m9::malloc_type_internal *t = type_of(type);
  if (t && size)
    m9::declared_pool_count(*t, size, false);
}

M9_EXPORT ::malloc_type *m9_desc2type(const char *shortdesc) {
  m9::malloc_types_name();
  const m9::malloc_type *t = m9::malloc_type_next(nullptr);
  while (t && !m9::text_equal(t->ks_shortdesc, shortdesc))
    t = m9::malloc_type_next(t);
  return m9::record_of(t);
}

M9_EXPORT void m9_type_list(malloc_type_list_func_t *function, void *argument) {
  m9::malloc_types_name();
  for (const m9::malloc_type *t = m9::malloc_type_next(nullptr); t; t = m9::malloc_type_next(t))
    function(m9::record_of(t), argument);
}

M9_EXPORT int m9_last_fail() {
  uint64_t at = m9::failed_ms.load(std::memory_order_relaxed), now = m9::clock_coarse_ms();
  return at ? int((now - at) / 1000) : INT_MAX;
}

M9_EXPORT int m9_mark(const char *name) { return m9::report_mark(name) ? 0 : -1; }

M9_EXPORT ::malloc_type *m9_scope_set(::malloc_type *type) {
  if (type && !m9::scope_now)
    m9::ending_watch();
  const m9::malloc_type_internal *before = m9::scope_set(type ? type_of(type) : nullptr);
  return before ? m9::record_of(before->type) : nullptr;
}
