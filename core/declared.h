// SPDX-License-Identifier: BSD-2-Clause
//
// Types that programs declare themselves, as with FreeBSD's MALLOC_DEFINE (preload/malloc9.h). The record lies in the
// program's data; its first use registers it, and ks_handle then leads to the type. In the call-site table such a type
// stands under a key of its own, so that its allocations are as quick as those of a call site.
//
// A thread's scope is the type that its allocations count for instead of who called. The fast paths know nothing of
// it: they are off for malloc while any thread is in a scope, and slow paths look here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/malloc_type.h"

namespace m9 {

// What call-site keys have as a return address. It lies within the type's own memory, so no code is there, and no other
// type's key; and as the handles are some 128 bytes apart, 64 types in a row have 64 different ends, which choose the
// slots of the direct table.
inline uint64_t declared_key(const malloc_type_internal &t) {
  auto at = reinterpret_cast<uint64_t>(&t);
  return at + (at >> 7 & 63);
}
static_assert(sizeof(malloc_type_internal) >= 64);

// The type of a record, registered if it is new; nullptr only without memory. Stops the program when it is none.
malloc_type_internal *declared_register(malloc_type &record);
inline malloc_type_internal *declared_type(malloc_type &record) {
  auto *t = std::atomic_ref(record.ks_handle).load(std::memory_order_acquire); // pairs with malloc_type_declare
  if (record.ks_magic != M_MAGIC || !t) [[unlikely]]
    return declared_register(record);
  return t;
}

// Before what the program holds is freed as of a type: if it is of another, counts that, and says so the first time for
// each two types. What is no item of ours is left to free.
void declared_check_free(const void *p, const malloc_type_internal &t, const char *call);

// Counts what the program's own pool hands out and takes back.
void declared_pool_count(malloc_type_internal &t, size_t size, bool allocated);

// What this thread's allocations count for; nullptr: for who calls.
extern M9_HIDDEN constinit thread_local malloc_type_internal *scope_now __attribute__((tls_model("initial-exec")));
// Returns what it was before.
malloc_type_internal *scope_set(malloc_type_internal *t);

} // namespace m9
