// SPDX-License-Identifier: BSD-2-Clause
#include "tool/launch.h"

#include <cerrno>

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include "tool/error.h"

namespace m9::tool {
namespace {

std::vector<char *> pointers(const std::vector<std::string> &strings) {
  std::vector<char *> out;
  out.reserve(strings.size() + 1);
  for (const std::string &s : strings)
    out.push_back(const_cast<char *>(s.c_str())); // posix_spawn takes what execve takes
  out.push_back(nullptr);
  return out;
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

timespec timespec_of(std::chrono::milliseconds t) {
  return {static_cast<time_t>(t.count() / 1000), static_cast<long>(t.count() % 1000 * 1000000)};
}

} // namespace

child_process::child_process(const std::string &path, const std::vector<std::string> &arguments,
                             const std::vector<std::string> &environment) {
  sigemptyset(&watched);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2})
    if (!is_ignored(signal))
      sigaddset(&watched, signal);
  sigaddset(&watched, SIGCHLD);
  struct sigaction counted {};
  sigaction(SIGCHLD, &counted, nullptr); // to its default: were it ignored, there would be no status to wait for
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &watched, &before);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &before);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int failed =
      posix_spawn(&child, path.c_str(), nullptr, &attributes, pointers(arguments).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    throw error(fmt::format("{}: {}", path, errno_text(failed)));
}

int child_process::wait(std::chrono::milliseconds period, const std::function<void()> &tick) {
  using clock = std::chrono::steady_clock;
  auto next_tick = clock::now() + period;
  for (int status = 0;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child)
      return status;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next_tick - clock::now());
    const timespec timeout = timespec_of(std::max(left, std::chrono::milliseconds(1)));
    siginfo_t info;
    const int signal = sigtimedwait(&watched, &info, &timeout);
    if (signal > 0 && signal != SIGCHLD && info.si_code != SI_KERNEL)
      kill(child, signal);
    if (clock::now() >= next_tick) {
      tick();
      next_tick = clock::now() + period;
    }
  }
}

int exit_status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

} // namespace m9::tool
