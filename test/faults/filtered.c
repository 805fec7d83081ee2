// SPDX-License-Identifier: BSD-2-Clause
//
// filtered CASE: a seccomp filter after start. `listed`: everything but the published list of system calls is trapped
// while threads allocate, and none may be. `refused`: what the allocator asks the kernel for is refused with EPERM or
// ENOSYS (all but mmap, munmap, mprotect and futex), and it goes on.
#include "cases.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

SITE void *filtered_site(size_t size);
SITE void *filtered_site(size_t size) { return hide(malloc(size)); }

static atomic_int started, go, done;
static atomic_ulong allocs;
static volatile sig_atomic_t trapped[8], traps;

static void use_memory(void) {
  static _Thread_local void *blocks[2000];
  for (size_t round = 0; round < 12; round++) {
    for (size_t i = 0; i < 2000; i++) {
      size_t size = i % 40 == 0 ? 1 + i * 991 : 1 + (i * 31 + round * 1009) % 12000;
      blocks[i] = filtered_site(size);
      CHECK(blocks[i] != NULL);
      if (i % 7 == 0)
        CHECK((blocks[i] = hide(realloc(blocks[i], size * 2))) != NULL);
    }
    atomic_fetch_add(&allocs, 2000);
    for (size_t i = 0; i < 2000; i++)
      free(blocks[i]);
    malloc_trim(0);
  }
}

static void *thread_life(void *unused) {
  atomic_fetch_add(&started, 1);
  while (!atomic_load(&go)) {
  }
  use_memory();
  atomic_fetch_add(&done, 1);
  return unused;
}

static void on_trap(int number, siginfo_t *info, void *context) {
  (void)number;
  if (traps < 8)
    trapped[traps] = info->si_syscall;
  traps++;
#ifdef __x86_64__
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#else
  (void)context;
#endif
}

#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE(name, error)                                                                                            \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))

static void install(struct sock_filter *filter, size_t size) {
  struct sock_fprog program = {(unsigned short)size, filter};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

static void run_threads(struct sock_filter *filter, size_t size) {
  pthread_t threads[3];
  use_memory();
  for (size_t i = 0; i < 3; i++)
    CHECK(pthread_create(&threads[i], NULL, thread_life, NULL) == 0);
  while (atomic_load(&started) < 3) {
  }
  install(filter, size);
  atomic_store(&go, 1);
  use_memory();
  while (atomic_load(&done) < 3) {
  }
}

// sched_getcpu is a vDSO call that may fall back to getcpu; sched_yield and rt_sigreturn are harmless.
static void listed(void) {
  static struct sock_filter filter[] = {
      LOAD_NUMBER,           ALLOW(mmap),
      ALLOW(munmap),         ALLOW(mprotect),
      ALLOW(madvise),        ALLOW(futex),
      ALLOW(membarrier),     ALLOW(mremap),
      ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn),
      ALLOW(write),          ALLOW(exit),
      ALLOW(exit_group),     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSYS, &action, NULL);
  use_memory();
  raise(SIGUSR2); // the dump; no file can be opened later
  run_threads(filter, sizeof filter / sizeof *filter);
  for (int i = 0; i < traps && i < 8; i++)
    dprintf(2, "trapped system call %d\n", trapped[i]);
  CHECK(traps == 0);
  _exit(0);
}

static void refused(void) {
  static struct sock_filter filter[] = {
      LOAD_NUMBER,
      REFUSE(madvise, EPERM),
      REFUSE(membarrier, ENOSYS),
      REFUSE(mremap, ENOSYS),
      REFUSE(rt_sigprocmask, EPERM),
      REFUSE(getcpu, ENOSYS),
      REFUSE(sched_yield, EPERM),
      REFUSE(fallocate, ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  run_threads(filter, sizeof filter / sizeof *filter);
  printf("filtered_site %lu %lu\n", allocs, allocs);
}

int main(int argc, char **argv) {
  static const struct test_case cases[] = {{"listed", listed}, {"refused", refused}};
  return RUN_CASE(argc, argv, cases);
}
