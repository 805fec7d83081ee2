// SPDX-License-Identifier: BSD-2-Clause
//
// malloc types, with the fields of FreeBSD's sys/malloc.h. One type per call site, and those that programs declare; a
// type counts in one cell per zone that it allocates from. Types are made under malloc_mtx, linked at the head of
// kmemstatistics, never unlinked, and read without a lock. Nothing stores their statistics: malloc_type_stats_read()
// sums the cells.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/size_class.h"
#include "shim/lock.h"
#include "shim/symbols.h"

namespace m9 {

constexpr uint64_t M_MAGIC = 877983977; // the value of FreeBSD's <sys/malloc.h>
constexpr unsigned DTMALLOC_PROBE_MAX = 2;

// Figures of one type on one CPU, or on all.
struct malloc_type_stats {
  uint64_t mts_memalloced; // bytes, usable sizes
  uint64_t mts_memfreed;   // bytes
  uint64_t mts_numallocs;
  uint64_t mts_numfrees;
  uint64_t mts_size; // bit z: allocated from zone z; bit large_zone: large
};

struct malloc_type_internal {
  uint32_t mti_probes[DTMALLOC_PROBE_MAX]; // no probes yet: 0
  uint8_t mti_zone;                        // the zone of its first allocation
  bool declared;                           // by the program, with a record of its own (i)
  std::atomic<uint32_t> first_cell;        // offset of a cell, linked on by cell_info::next_of_type; 0: none
  std::atomic<uint32_t> pool_cell;         // one of them: counts the program's own pool; 0: none
  uintptr_t address;                       // return address of the call site; 0: none (i)
  uint32_t module;                         // number in modules, or no_module (t)
  uint32_t number;                         // in order of creation (i)
  bool gone;                               // its module was unloaded: another may have the address (t)
  bool ruled;                              // made by a rule of the user's: for many sites (i)
  bool ends_chains;                        // its site lies in no wrapper (t)
  bool named;                              // ks_shortdesc has all that dynamic symbols give (t)
  malloc_type_internal *next_in_hash;      // (t)
  struct malloc_type *type;                // (i)
  std::atomic<uint64_t> highuse;           // bytes: the most that was seen in use at once
  malloc_type_internal *site;              // of a chain's type: that of its site, which has the name; else nullptr (i)
  uint32_t stack;                          // of a chain's type: its node (core/stack_node.h); else 0 (i)
};

// Public, as in FreeBSD.
struct malloc_type {
  malloc_type *ks_next;
  uint64_t ks_magic; // M_MAGIC
  const char *ks_shortdesc;
  malloc_type_internal *ks_handle;
};
static_assert(sizeof(malloc_type) == 32);

extern mutex malloc_mtx; // (t): making types, tags, modules; opening CPUs
extern std::atomic<malloc_type *> kmemstatistics;

// The type of a call site, made if it is new; nullptr only without memory.
malloc_type *malloc_type_of(uintptr_t caller) M9_REQUIRES(malloc_mtx);
// `sure`: chains that lead to the site, which is the type's, end there.
void malloc_type_note_end(malloc_type &t, uintptr_t caller, bool sure) M9_REQUIRES(malloc_mtx);
// Whether a call site is known that chains end at.
bool malloc_type_ends_chains(uintptr_t caller) M9_REQUIRES(malloc_mtx);
// One more type of a site, for one chain that leads to it; nullptr only without memory.
malloc_type *malloc_type_make_stack(malloc_type &site, uint32_t node) M9_REQUIRES(malloc_mtx);
// The type that sites share when tags or memory ran out.
malloc_type *malloc_type_other() M9_REQUIRES(malloc_mtx);
// That of a record in the program's data, which is pointed to it. The type is a copy of ours: the record goes when its
// module is unloaded, the books stay. A module that is loaded again gets its types back. nullptr only without memory.
malloc_type_internal *malloc_type_declare(malloc_type &record) M9_REQUIRES(malloc_mtx);
// A type that no call site is the only one of, named by a rule.
malloc_type *malloc_type_make_named(const char *name, size_t size) M9_REQUIRES(malloc_mtx);
malloc_type *malloc_type_next(const malloc_type *t); // nullptr starts; checks M_MAGIC
uint32_t malloc_types_count();

// Sums one CPU's counters of a type (-1: the shared block), or those of all CPUs, frees before allocs.
malloc_type_stats malloc_type_stats_read(const malloc_type &t, int cpu);
malloc_type_stats malloc_type_stats_read(const malloc_type &t);

// Notes the most that was seen in use of a cell's type. Called on paths that are slow anyway.
void malloc_type_highuse(uint64_t cell);

// After dlclose: types of modules that are gone keep their counts, but their addresses may get new types.
void malloc_types_forget_unloaded();
// Before dlclose and when statistics are written: names with the symbols of what is still loaded.
void malloc_types_name();
void malloc_types_name_locked() M9_REQUIRES(malloc_mtx);
// In a child that was made without fork while another thread held malloc_mtx: finds all types of sites again.
void malloc_types_abandon();
// The symbol that a type is still to be named after; false: none is known.
bool malloc_type_symbol(const malloc_type_internal &t, symbol &found) M9_REQUIRES(malloc_mtx);

} // namespace m9
