// SPDX-License-Identifier: BSD-2-Clause
//
// The verbs without rseq: sched_getcpu names the block, a try-lock in its head makes each verb one step. Nobody waits:
// when the lock is held (another thread, or the one that a signal handler interrupted), the verb misses.
#include <atomic>

#include "shim/percpu.h"

namespace m9::fallback {
namespace {

struct cache_view {
  uint64_t owner;
  uint32_t count;
  uint32_t capacity;
  uint32_t items[];
};

// The current CPU's block, locked; `ok` is false when it is not opened or taken.
class block_lock {
public:
  block_lock() {
    int cpu = percpu_current();
    if (cpu < 0 || !percpu_is_opened(cpu))
      return;
    m_block = percpu_block_of(cpu);
    // Acquire: pairs with the release in the destructor.
    if (std::atomic_ref(head()->lock).exchange(1, std::memory_order_acquire) != 0)
      m_block = 0;
  }
  ~block_lock() {
    if (m_block)
      std::atomic_ref(head()->lock).store(0, std::memory_order_release);
  }
  block_lock(const block_lock &) = delete;
  block_lock &operator=(const block_lock &) = delete;
  bool ok() const { return m_block != 0; }
  cache_view *cache(uint64_t offset) const {
    return reinterpret_cast<cache_view *>(m_block + offset - cache_owner_bytes);
  }
  // Readers sum counters while they change, so each is written in one piece.
  void count(uint64_t offset, uint64_t delta) const {
    std::atomic_ref counter(*reinterpret_cast<uint64_t *>(m_block + offset));
    counter.store(counter.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }

private:
  block_head *head() const { return reinterpret_cast<block_head *>(m_block); }
  uint64_t m_block = 0;
};

} // namespace

bool pop_and_count(uint64_t cache, uint64_t cell, uint64_t &index) {
  block_lock b;
  if (!b.ok())
    return false;
  cache_view *c = b.cache(cache);
  if (int32_t(c->count) < 1)
    return false;
  c->count--;
  b.count(cell, 1);
  index = c->items[c->count];
  return true;
}

bool push_and_count(uint64_t cache, uint64_t owner, uint64_t index, uint64_t cell) {
  block_lock b;
  if (!b.ok())
    return false;
  cache_view *c = b.cache(cache);
  if (c->owner != owner || c->count >= c->capacity)
    return false;
  c->items[c->count++] = uint32_t(index);
  b.count(cell + 8, 1);
  return true;
}

bool add(uint64_t offset, uint64_t delta) {
  block_lock b;
  if (b.ok())
    b.count(offset, delta);
  return b.ok();
}

uint32_t grow(uint64_t cache, uint64_t owner, uint32_t first, uint32_t most) {
  block_lock b;
  if (!b.ok())
    return 0;
  cache_view *c = b.cache(cache);
  if (c->capacity == 0)
    c->owner = owner;
  if (c->owner != owner)
    return 0;
  uint32_t n = 2 * c->capacity < first ? first : 2 * c->capacity;
  if (c->capacity < most)
    c->capacity = n < most ? n : most;
  return c->capacity;
}

uint32_t pop_many(uint64_t cache, uint64_t owner, uint32_t *to, uint32_t most) {
  block_lock b;
  if (!b.ok())
    return 0;
  cache_view *c = b.cache(cache);
  if (c->owner != owner || int32_t(c->count) < 1)
    return 0;
  uint32_t n = c->count < most ? c->count : most;
  c->count -= n;
  for (uint32_t i = 0; i < n; i++)
    to[i] = c->items[c->count + i];
  return n;
}

uint32_t push_many(uint64_t cache, uint64_t owner, const uint32_t *from, uint32_t n) {
  block_lock b;
  if (!b.ok())
    return 0;
  cache_view *c = b.cache(cache);
  if (c->owner != owner || c->count >= c->capacity)
    return 0;
  uint32_t m = c->capacity - c->count < n ? c->capacity - c->count : n;
  for (uint32_t i = 0; i < m; i++)
    c->items[c->count + i] = from[n - m + i];
  c->count += m;
  return m;
}

} // namespace m9::fallback
