// SPDX-License-Identifier: BSD-2-Clause
//
// Locks with ranks. A thread takes them in the order of `lock_rank` only (checked in `checks` builds), and fork takes
// all of them in that order. Asynchronous signals are blocked while any is held: a handler that allocates can so
// never wait for the thread it interrupted, nor leave a locked part by siglongjmp.
//
// A `locked` guard blocks signals and locks; a `locked_inside` guard locks below an outer guard, without the two
// system calls. Every function that expects a lock held says so with M9_REQUIRES.
#pragma once

#include <atomic>
#include <cstdint>

#include "shim/percpu_layout.h"

#if defined(__clang__)
#define M9_CAPABILITY __attribute__((capability("mutex")))
#define M9_SCOPED __attribute__((scoped_lockable))
#define M9_ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define M9_RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define M9_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define M9_UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define M9_CAPABILITY
#define M9_SCOPED
#define M9_ACQUIRES(...)
#define M9_RELEASES(...)
#define M9_REQUIRES(...)
#define M9_UNCHECKED
#endif

namespace m9 {

// Between the fork handlers the forking thread owns every lock. Handlers of others that run in between on that thread
// allocate, so for it locking and unlocking do nothing then.
extern M9_HIDDEN std::atomic<uintptr_t> fork_thread; // its thread pointer, 0: nobody forks (a) relaxed
inline bool fork_is_mine() {
  return fork_thread.load(std::memory_order_relaxed) == reinterpret_cast<uintptr_t>(__builtin_thread_pointer());
}

// The order in which locks are taken, and in which fork takes them all.
enum class lock_rank : uint8_t { process, types, zone, extents, meta };

class M9_CAPABILITY mutex {
public:
#if M9_CHECKS
  constexpr explicit mutex(lock_rank rank) : m_rank(rank) {}
#else
  constexpr explicit mutex(lock_rank) {} // all zero, so that no file holds what has one
#endif
  // Both return true when the lock had to be waited for.
  bool lock() M9_ACQUIRES() {
    if (fork_is_mine()) [[unlikely]]
      return false;
    rank_check_acquire();
    uint32_t expected = 0;
    // Acquire: pairs with the release in unlock().
    if (m_state.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed)) [[likely]]
      return false;
    lock_slow();
    return true;
  }
  void unlock() M9_RELEASES() {
    if (fork_is_mine()) [[unlikely]]
      return;
    rank_check_release();
    if (m_state.exchange(0, std::memory_order_release) == 2) [[unlikely]] // pairs with the acquire in lock()
      wake();
  }
  bool held() const { return m_state.load(std::memory_order_relaxed) != 0; }
  // In the child of a fork: the owner may not exist here.
  void reset() {
    rank_check_release();
    m_state.store(0, std::memory_order_relaxed);
  }

private:
  void lock_slow();
  void wake();
#if M9_CHECKS
  void rank_check_acquire();
  void rank_check_release();
  lock_rank m_rank;
#else
  void rank_check_acquire() {}
  void rank_check_release() {}
#endif
  std::atomic<uint32_t> m_state{0}; // 0 free, 1 held, 2 held and waited for
};

// The kernel's signal mask of this thread, changed and put back.
uint64_t signals_block();
void signals_restore(uint64_t mask);

class M9_SCOPED locked {
public:
  explicit locked(mutex &m) M9_ACQUIRES(m) : m_mask(signals_block()), m_mutex(m) { m_waited = m.lock(); }
  ~locked() M9_RELEASES() {
    m_mutex.unlock();
    signals_restore(m_mask);
  }
  locked(const locked &) = delete;
  locked &operator=(const locked &) = delete;
  bool waited() const { return m_waited; }

private:
  uint64_t m_mask;
  mutex &m_mutex;
  bool m_waited = false;
};

class M9_SCOPED locked_inside {
public:
  explicit locked_inside(mutex &m) M9_ACQUIRES(m) : m_mutex(m) { m.lock(); }
  ~locked_inside() M9_RELEASES() { m_mutex.unlock(); }
  locked_inside(const locked_inside &) = delete;
  locked_inside &operator=(const locked_inside &) = delete;

private:
  mutex &m_mutex;
};

} // namespace m9
