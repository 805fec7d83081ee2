// SPDX-License-Identifier: BSD-2-Clause
#include "shim/lock.h"

#include <csignal>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "shim/panic.h"
#include "shim/syscall.h"

namespace m9 {

constinit std::atomic<uintptr_t> fork_thread{0};

namespace {

constexpr uint64_t signal_bit(int s) { return uint64_t{1} << (s - 1); }

// Faults of the thread itself, and SIGSYS of seccomp filters, are fatal when they meet a blocked signal.
constexpr uint64_t never_blocked = signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGFPE) | signal_bit(SIGILL) |
                                   signal_bit(SIGTRAP) | signal_bit(SIGSYS) | signal_bit(SIGABRT);

} // namespace

uint64_t signals_block() {
  uint64_t all = ~never_blocked, old = 0;
  system_call(SYS_rt_sigprocmask, SIG_BLOCK, long(&all), long(&old), sizeof all);
  return old;
}

void signals_restore(uint64_t mask) { system_call(SYS_rt_sigprocmask, SIG_SETMASK, long(&mask), 0, sizeof mask); }

void mutex::lock_slow() {
  for (int i = 0; i < 100; i++) {
    cpu_relax();
    uint32_t expected = 0;
    if (m_state.compare_exchange_weak(expected, 1, std::memory_order_acquire, std::memory_order_relaxed))
      return; // acquire: pairs with unlock()
  }
  while (m_state.exchange(2, std::memory_order_acquire) != 0) // acquire: pairs with unlock()
    system_call(SYS_futex, long(&m_state), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2);
}

void mutex::wake() { system_call(SYS_futex, long(&m_state), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1); }

#if M9_CHECKS
namespace {
// Bit r: this thread holds locks of rank r. One word, so that the static TLS block always has room for it.
__attribute__((tls_model("initial-exec"))) thread_local uint32_t ranks_held;
} // namespace

void mutex::rank_check_acquire() {
  uint32_t bit = uint32_t{1} << unsigned(m_rank);
  // fork takes all zone locks one after the other, hence not >=.
  CHECK((ranks_held & ~(2 * bit - 1)) == 0, "lock order violated");
  ranks_held |= bit;
}
void mutex::rank_check_release() { ranks_held &= ~(uint32_t{1} << unsigned(m_rank)); }
#endif

} // namespace m9
