// SPDX-License-Identifier: BSD-2-Clause
#include "tool/guarded.h"

#include <csetjmp>
#include <csignal>
#include <cstdint>

#include <sys/mman.h>

namespace m9::tool {
namespace {

struct guard {
  sigjmp_buf back;
  uintptr_t start, end;
};
thread_local guard *active = nullptr;

void on_sigbus(int signal, siginfo_t *info, void *) {
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  if (active != nullptr && at >= active->start && at < active->end)
    siglongjmp(active->back, 1);
  ::signal(signal, SIG_DFL); // and so comes again
}

void install_once() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, nullptr) == 0;
  }();
  (void)installed;
}

} // namespace

mapped_file::mapped_file(int fd, size_t size) : bytes(size) {
  void *p = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (p != MAP_FAILED)
    at = static_cast<const unsigned char *>(p);
}

mapped_file::~mapped_file() {
  if (at != nullptr)
    munmap(const_cast<unsigned char *>(at), bytes);
}

bool read_guarded(const mapped_file &file, void (*f)(void *), void *argument) {
  install_once();
  guard g{};
  g.start = reinterpret_cast<uintptr_t>(file.data());
  g.end = g.start + file.size();
  if (sigsetjmp(g.back, 0) != 0) {
    active = nullptr;
    return false;
  }
  active = &g;
  f(argument);
  active = nullptr;
  return true;
}

} // namespace m9::tool
