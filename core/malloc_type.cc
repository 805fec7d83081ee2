// SPDX-License-Identifier: BSD-2-Clause
#include "core/malloc_type.h"

#include "core/cell.h"
#include "core/chain.h"
#include "core/live_index.h"
#include "core/meta.h"
#include "core/module.h"
#include "core/rules.h"
#include "core/site.h"
#include "core/stack.h"
#include "shim/panic.h"
#include "shim/percpu.h"
#include "shim/symbols.h"
#include "shim/text.h"

namespace m9 {

constinit mutex malloc_mtx(lock_rank::types);
constinit std::atomic<malloc_type *> kmemstatistics{nullptr};

namespace {

std::atomic<uint32_t> types_count;   // (a) relaxed
malloc_type *other_type;             // (t)
malloc_type_internal **hash_buckets; // by address (t)
uint32_t hash_size;                  // a power of two (t)

uint32_t hash_of(uintptr_t address, uint32_t size) {
  return uint32_t((address * 0x9E3779B97F4A7C15u) >> 40) & (size - 1);
}

void hash_put(malloc_type_internal &t) M9_REQUIRES(malloc_mtx) {
  auto *&bucket = hash_buckets[hash_of(t.address, hash_size)];
  t.next_in_hash = bucket;
  bucket = &t;
}

malloc_type_internal *hash_find(uintptr_t address) M9_REQUIRES(malloc_mtx) {
  auto *t = hash_size ? hash_buckets[hash_of(address, hash_size)] : nullptr;
  while (t && (t->address != address || t->gone))
    t = t->next_in_hash;
  return t;
}

bool hash_grow() M9_REQUIRES(malloc_mtx) {
  uint32_t size = hash_size ? hash_size * 4 : 128;
  auto **fresh = static_cast<malloc_type_internal **>(meta_alloc(size * sizeof(*hash_buckets)));
  if (!fresh)
    return hash_size != 0;
  for (uint32_t i = 0; i < hash_size; i++)
    for (malloc_type_internal *t = hash_buckets[i], *next; t; t = next) {
      next = t->next_in_hash;
      auto *&bucket = fresh[hash_of(t->address, size)];
      t->next_in_hash = bucket;
      bucket = t;
    }
  hash_buckets = fresh;
  hash_size = size;
  return true;
}

malloc_type *type_make(uintptr_t address, uint32_t module, const char *name) M9_REQUIRES(malloc_mtx) {
  struct both {
    malloc_type type;
    malloc_type_internal internal;
  };
  auto *b = meta_new<both>();
  if (!b || !name)
    return nullptr;
  b->internal.address = address;
  b->internal.module = module;
  b->internal.number = types_count.load(std::memory_order_relaxed);
  b->internal.type = &b->type;
  b->type.ks_magic = M_MAGIC;
  b->type.ks_shortdesc = name;
  b->type.ks_handle = &b->internal;
  b->type.ks_next = kmemstatistics.load(std::memory_order_relaxed);
  kmemstatistics.store(&b->type, std::memory_order_release); // pairs with malloc_type_next
  types_count.fetch_add(1, std::memory_order_relaxed);
  return &b->type;
}

// Names a type with the symbol that it lies in. False: there is none, or none new.
bool type_name(malloc_type &t) M9_REQUIRES(malloc_mtx) {
  malloc_type_internal &i = *t.ks_handle;
  if (i.named || i.module == modules_none)
    return false;
  static symbol found; // large; under the lock
  bool has_symbol = malloc_type_symbol(i, found);
  i.named = true;
  if (!has_symbol)
    return false;
  text_buffer<1024> name;
  name.add(module_get(i.module)->name).put('!').add(found.name).put('+').hex(i.address - found.start);
  const char *copy = meta_string(name.c_str(), name.size());
  if (copy)
    std::atomic_ref(t.ks_shortdesc).store(copy, std::memory_order_release);
  return copy;
}

malloc_type *type_of_site(uintptr_t caller, uint32_t number) M9_REQUIRES(malloc_mtx) {
  const module *m = number == modules_none ? nullptr : module_get(number);
  text_buffer<320> name;
  if (m)
    name.add(m->name).put('+').hex(caller - m->facts.base);
  else
    name.add("(unknown)+").hex(caller);
  malloc_type *t = type_make(caller, number, meta_string(name.c_str(), name.size()));
  if (t && live_on) // who reads the file may never see a report
    type_name(*t);
  if (t)
    live_type_made(*t);
  return t;
}

} // namespace

malloc_type *malloc_type_other() {
  if (!other_type) {
    other_type = type_make(0, modules_none, "(other)");
    if (other_type) {
      other_type->ks_handle->named = true;
      live_type_made(*other_type);
    }
  }
  return other_type;
}

malloc_type *malloc_type_make_named(const char *name, size_t size) {
  malloc_type *t = type_make(0, modules_none, meta_string(name, size));
  if (t) {
    t->ks_handle->named = t->ks_handle->ruled = true;
    live_type_made(*t);
  }
  return t;
}

malloc_type *malloc_type_make_stack(malloc_type &site, uint32_t node) {
  malloc_type_internal &i = *site.ks_handle;
  malloc_type *t = type_make(i.address, i.module, site.ks_shortdesc);
  if (t) {
    t->ks_handle->site = &i;
    t->ks_handle->stack = node;
    t->ks_handle->named = true;
    live_type_made(*t);
  }
  return t;
}

void malloc_type_note_end(malloc_type &t, uintptr_t caller, bool sure) {
  if (sure && t.ks_handle->address == caller) // else it is one of many sites
    t.ks_handle->ends_chains = true;
}

bool malloc_type_ends_chains(uintptr_t caller) {
  const malloc_type_internal *t = hash_find(caller);
  return t && t->ends_chains;
}

malloc_type *malloc_type_of(uintptr_t caller) {
  if (types_count.load(std::memory_order_relaxed) >= hash_size && !hash_grow())
    return nullptr;
  if (const malloc_type_internal *known = hash_find(caller))
    return known->type;
  uint32_t number = module_number(caller);
  module *m = number == modules_none ? nullptr : module_get(number);
  if (m && rules_count != 0)
    if (malloc_type *t = rule_type_of(caller, m->facts.path))
      return t;
  if (m && m->jit) { // addresses there come and go
    if (!m->jit_type) {
      m->jit_type = type_make(0, number, m->name);
      if (m->jit_type) {
        m->jit_type->ks_handle->named = true;
        live_type_made(*m->jit_type);
      }
    }
    return m->jit_type;
  }
  malloc_type *t = type_of_site(caller, number);
  if (t)
    hash_put(*t->ks_handle);
  return t;
}

void malloc_types_abandon() M9_UNCHECKED { // its owner does not exist here
  uint32_t n = 0;
  for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t))
    n++;
  types_count.store(n, std::memory_order_relaxed);
  chains_forget();
  hash_buckets = nullptr;
  hash_size = 0;
  do
    CHECK(hash_grow(), "no memory for a child made by clone");
  while (hash_size < n);
  for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t))
    if (t->ks_handle->address != 0 && !t->ks_handle->site)
      hash_put(*t->ks_handle);
}

namespace {

// A declared type of this name whose module is gone, and is now loaded again.
malloc_type *declared_before(const char *name, uint32_t number) M9_REQUIRES(malloc_mtx) {
  if (number == modules_none)
    return nullptr;
  for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t)) {
    const malloc_type_internal &i = *t->ks_handle;
    if (i.declared && i.gone && text_equal(t->ks_shortdesc, name) &&
        text_equal(module_get(i.module)->facts.path, module_get(number)->facts.path))
      return t;
  }
  return nullptr;
}

} // namespace

malloc_type_internal *malloc_type_declare(malloc_type &record) {
  if (record.ks_handle) // another thread was faster
    return record.ks_handle;
  auto at = reinterpret_cast<uintptr_t>(&record);
  const char *name = record.ks_shortdesc ? record.ks_shortdesc : "(no name)";
  module_facts facts;
  uint32_t number = module_find(at, facts) ? module_number(at) : modules_none;
  malloc_type *t = declared_before(name, number);
  const bool known = t;
  if (!t)
    t = type_make(0, number, meta_string(name, text_length(name)));
  if (!t)
    return nullptr;
  malloc_type_internal &i = *t->ks_handle;
  i.declared = i.named = true;
  i.gone = false;
  i.module = number;
  if (known)
    live_type_changed(*t, false);
  else
    live_type_made(*t);
  std::atomic_ref(record.ks_handle).store(&i, std::memory_order_release); // pairs with declared_type
  return &i;
}

malloc_type *malloc_type_next(const malloc_type *t) {
  if (t)
    CHECK(t->ks_magic == M_MAGIC, "a malloc_type's ks_magic is bad: the list of types is corrupt");
  malloc_type *next = t ? t->ks_next : kmemstatistics.load(std::memory_order_acquire); // pairs with type_make
  if (next)
    CHECK(next->ks_magic == M_MAGIC, "a malloc_type's ks_magic is bad: the list of types is corrupt");
  return next;
}

uint32_t malloc_types_count() { return types_count.load(std::memory_order_relaxed); }

namespace {
template <class Read> malloc_type_stats stats_sum(const malloc_type &t, Read read) {
  malloc_type_stats s{};
  for (uint32_t cell = t.ks_handle->first_cell.load(std::memory_order_acquire); cell;) { // pairs with cell_link
    const cell_info &info = *cell_find(cell);
    cell_sums c = read(cell, info.zone);
    s.mts_numallocs += c.allocs;
    s.mts_numfrees += c.frees;
    s.mts_memalloced += c.bytes_alloced;
    s.mts_memfreed += c.bytes_freed;
    if (c.allocs && !info.pool)
      s.mts_size |= uint64_t{1} << info.zone;
    cell = info.next_of_type;
  }
  return s;
}
} // namespace

malloc_type_stats malloc_type_stats_read(const malloc_type &t, int cpu) {
  return stats_sum(t, [cpu](uint64_t cell, unsigned zone) { return cell_read(cell, zone, cpu); });
}
malloc_type_stats malloc_type_stats_read(const malloc_type &t) {
  return stats_sum(t, [](uint64_t cell, unsigned zone) { return cell_read(cell, zone); });
}

void malloc_type_highuse(uint64_t cell) {
  const cell_info *info = cell_find(cell);
  if (!info)
    return;
  malloc_type_stats s = malloc_type_stats_read(*info->type);
  uint64_t now = s.mts_memalloced - s.mts_memfreed;
  auto &high = info->type->ks_handle->highuse;
  if (int64_t(now) > 0 && now > high.load(std::memory_order_relaxed)) {
    high.store(now, std::memory_order_relaxed);
    live_highuse(*info->type->ks_handle, now);
  }
}

bool malloc_type_symbol(const malloc_type_internal &t, symbol &found) {
  const module *m = t.module == modules_none ? nullptr : module_get(t.module);
  return m && !t.named && module_loaded(*m) && symbol_find(m->facts, t.address - 1, found);
}

void malloc_types_name() {
  locked guard(malloc_mtx);
  malloc_types_name_locked();
}

void malloc_types_name_locked() {
  for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t))
    if (type_name(*t))
      live_type_changed(*t, true);
  for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t)) {
    const malloc_type_internal *site = t->ks_handle->site;
    if (!site || t->ks_shortdesc == site->type->ks_shortdesc)
      continue;
    std::atomic_ref(t->ks_shortdesc).store(site->type->ks_shortdesc, std::memory_order_release);
    live_type_changed(*t, true);
  }
}

void malloc_types_forget_unloaded() {
  locked guard(malloc_mtx);
  bool any = false;
  for (uint32_t i = 0; i < modules_count(); i++) {
    module *m = module_get(i);
    if (m->unloaded || m->jit || module_loaded(*m))
      continue;
    m->unloaded = any = true;
    live_module_changed(i);
    for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t))
      if (t->ks_handle->module == i)
        t->ks_handle->gone = t->ks_handle->named = true;
  }
  if (any) {
    sites_forget_gone();
    stacks_forget_gone();
  }
}

} // namespace m9
