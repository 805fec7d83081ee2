// SPDX-License-Identifier: BSD-2-Clause
#include "shim/percpu.h"

#include <atomic>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "shim/glibc.h"
#include "shim/pages.h"
#include "shim/panic.h"
#include "shim/syscall.h"
#include "shim/system.h"

namespace m9 {

constinit percpu_variables percpu = {};
constinit verbs percpu_verbs = verbs::none;
void (*percpu_shared_added)(uint64_t offset, uint64_t delta) = nullptr;

namespace {

constexpr int cpus_most = 8192;

int cpu_ids = 0;                 // (i)
int fake_cpu = -1, fake_ids = 0; // tests only
uint64_t opened[cpus_most / 64]; // (a) relaxed: bit per CPU id
std::atomic<unsigned> domains;   // mask: domain = CPU id & this; 0 until the CPUs are split (a) relaxed

std::atomic_ref<uint64_t> atomic_at(uint64_t address) {
  return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t *>(address));
}

long membarrier(int command, unsigned flags = 0, int cpu = 0) {
  return system_call(SYS_membarrier, command, flags, cpu);
}

void base_set(uint64_t address) {
  percpu.base = address;
  percpu.base_below = -address;
}

} // namespace

bool percpu_reserve() {
  for (cpu_ids = fake_ids ? fake_ids : int(cpu_ids_possible()); cpu_ids > 0; cpu_ids /= 2) {
    uint64_t size = (uint64_t(cpu_ids) + percpu_blocks_below) * percpu_block;
    if (uintptr_t p = pages_reserve(size)) {
      if (!pages_open_readable(p, size))
        return false;
      base_set(p + percpu_blocks_below * percpu_block);
      return true;
    }
    if (cpu_ids <= 64)
      break; // an id beyond the reservation would be a stray write, so rather none at all
  }
  cpu_ids = 0;
  return false;
}

bool percpu_reserve_shared() {
  uintptr_t p = pages_reserve(percpu_block);
  base_set(p + percpu_blocks_below * percpu_block);
  cpu_ids = 0;
  return p != 0;
}

bool percpu_rseq_usable(const char *&reason) {
  if (!&__rseq_size || __rseq_size == 0) {
    reason = "glibc did not register rseq";
    return false;
  }
  percpu.rseq_offset = __rseq_offset;
  int cpu = percpu_current();
  if (cpu < 0 || cpu >= cpu_ids) {
    reason = "rseq gives no CPU id";
    return false;
  }
  // Without membarrier only the caches of other CPUs cannot be drained; that is no reason to give rseq up.
  membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ);
  return true;
}

void percpu_use(verbs v) { percpu_verbs = v; }

int percpu_current() {
  if (fake_cpu >= 0)
    return fake_cpu;
  int cpu = -1;
  if (percpu.rseq_offset != 0) {
    auto *area =
        reinterpret_cast<struct ::rseq *>(static_cast<char *>(__builtin_thread_pointer()) + percpu.rseq_offset);
    cpu = int(__atomic_load_n(&area->cpu_id, __ATOMIC_RELAXED));
  } else {
    cpu = sched_getcpu();
  }
  return cpu < cpu_ids ? cpu : -1;
}

unsigned percpu_domain(int cpu) { return cpu < 0 ? 0 : unsigned(cpu) & domains.load(std::memory_order_relaxed); }

bool percpu_has_domains() { return domains.load(std::memory_order_relaxed) != 0; }

// A cache changes hands only when it can be stopped: without membarrier it would stay another domain's, and its CPU
// would have none.
bool percpu_split_domains(verbs v) {
  if (percpu_has_domains() || (v == verbs::rseq && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) != 0))
    return false;
  return domains.exchange(domain_count - 1, std::memory_order_relaxed) == 0;
}

void percpu_pretend_ids(int n) { fake_ids = n; }
void percpu_fake(int cpu) { fake_cpu = cpu; }

uint64_t percpu_block_of(int cpu) {
  return cpu < 0 ? percpu.base + uint64_t(percpu_shared) : percpu.base + uint64_t(cpu) * percpu_block;
}

bool percpu_open_range(int cpu, uint64_t offset, uint64_t size) {
  return pages_open(percpu_block_of(cpu) + offset, size);
}

void percpu_mark_opened(int cpu) {
  // Release: a thread that sees the block opened may use every range opened before.
  atomic_at(percpu_block_of(cpu)).store(1, std::memory_order_release);
  if (cpu >= 0)
    std::atomic_ref(opened[cpu / 64]).fetch_or(uint64_t{1} << (cpu % 64), std::memory_order_release);
}

bool percpu_is_opened(int cpu) {
  return atomic_at(percpu_block_of(cpu)).load(std::memory_order_acquire) != 0; // pairs with percpu_mark_opened
}

int percpu_next_opened(int after) {
  for (int cpu = after + 1; cpu < cpu_ids;) {
    uint64_t rest = std::atomic_ref(opened[cpu / 64]).load(std::memory_order_acquire) >> (cpu % 64);
    if (rest)
      return cpu + __builtin_ctzll(rest);
    cpu = (cpu / 64 + 1) * 64;
  }
  return -1;
}

bool percpu_shared_is_used() { return std::atomic_ref(percpu.shared_used).load(std::memory_order_relaxed); }

void percpu_add(verbs v, uint64_t offset, uint64_t delta) {
  if (v == verbs::rseq ? rseq::add(offset, delta) : v == verbs::fallback && fallback::add(offset, delta))
    return;
  std::atomic_ref(percpu.shared_used).store(true, std::memory_order_relaxed);
  atomic_at(percpu_block_of(-1) + offset).fetch_add(delta, std::memory_order_relaxed);
  if (percpu_shared_added) [[unlikely]]
    percpu_shared_added(offset, delta);
}

uint32_t percpu_cache_count(int cpu, uint32_t cache) {
  auto *word = reinterpret_cast<uint32_t *>(percpu_block_of(cpu) + cache);
  return std::atomic_ref(*word).load(std::memory_order_relaxed) & ~cache_stop;
}

uint64_t percpu_cache_owner(int cpu, uint32_t cache) {
  return atomic_at(percpu_block_of(cpu) + cache - cache_owner_bytes).load(std::memory_order_relaxed);
}

namespace {

// Takes all that a stopped cache holds and lets it run again, for another owner if `next_owner` is one.
uint32_t cache_take(uint64_t cache_address, uint32_t *to, uint64_t next_owner) {
  auto *count = reinterpret_cast<uint32_t *>(cache_address);
  auto *items = reinterpret_cast<const uint32_t *>(cache_address + cache_items_offset);
  uint32_t n = std::atomic_ref(*count).load(std::memory_order_relaxed) & ~cache_stop;
  for (uint32_t i = 0; i < n; i++)
    to[i] = items[i];
  if (next_owner)
    atomic_at(cache_address - cache_owner_bytes).store(next_owner, std::memory_order_relaxed);
  // Release: the items were read before anyone may overwrite them, and the owner is there before anyone adds to them.
  std::atomic_ref(*count).store(0, std::memory_order_release);
  return n;
}

bool stop_and_take(int cpu, uint64_t cache_address, uint32_t *to, uint32_t &n, uint64_t next_owner) {
  auto word = atomic_at(cache_address);
  for (int tries = 0; tries < 100; tries++) {
    // A section of that CPU may be between reading and writing the word, and lose this flag: then once more. It never
    // loses the count, since the flag is added and the section adds too.
    word.fetch_or(cache_stop, std::memory_order_seq_cst);
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU, cpu) != 0) {
      word.fetch_and(~uint64_t{cache_stop}, std::memory_order_relaxed);
      return false;
    }
    if (word.load(std::memory_order_seq_cst) & cache_stop) {
      n = cache_take(cache_address, to, next_owner);
      return true;
    }
  }
  return false;
}

} // namespace

bool percpu_drain(verbs v, int cpu, uint32_t cache, uint32_t *to, uint32_t &count, uint64_t next_owner) {
  uint64_t block = percpu_block_of(cpu);
  count = 0;
  if (next_owner == 0 && percpu_cache_count(cpu, cache) == 0)
    return true;
  if (v == verbs::rseq)
    return stop_and_take(cpu, block + cache, to, count, next_owner);
  if (v != verbs::fallback)
    return false;
  std::atomic_ref lock(reinterpret_cast<block_head *>(block)->lock);
  if (lock.exchange(1, std::memory_order_acquire) != 0) // pairs with the release below and in fallback.cc
    return false;
  count = cache_take(block + cache, to, next_owner);
  lock.store(0, std::memory_order_release);
  return true;
}

} // namespace m9
