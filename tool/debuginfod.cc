// SPDX-License-Identifier: BSD-2-Clause
#include "tool/debuginfod.h"

#include <charconv>
#include <chrono>
#include <cstdlib>

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include "tool/environment.h"
#include "tool/error.h"

namespace m9::tool {
namespace {

using clock = std::chrono::steady_clock;

// One download, as the library's progress function sees it. It is called about once a second, also while nothing comes.
struct download {
  std::string module;
  clock::time_point last;
  std::chrono::seconds timeout;
  long received = 0;
  bool shown = false, timed_out = false;
};
download *current = nullptr; // the function has no argument for it; the command has one thread

std::chrono::seconds timeout_wanted() {
  const std::string text = environment_value("DEBUGINFOD_TIMEOUT");
  long seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::chrono::seconds(seconds > 0 ? seconds : 10);
}

// Without a known length (`all` <= 0) `received` only counts calls. Anything but 0 ends the download.
int progress(void * /*client*/, long received, long all) {
  download &d = *current;
  if (all > 0 && received != d.received) {
    d.received = received;
    d.last = clock::now();
  }
  d.timed_out = clock::now() - d.last >= d.timeout;
  if (isatty(STDERR_FILENO) == 1) {
    const std::string line = fmt::format("\rmalloc9: fetching names of {}: {} of {} KiB\033[K", printable(d.module),
                                         all > 0 ? received / 1024 : 0, all > 0 ? all / 1024 : 0);
    d.shown = ::write(STDERR_FILENO, line.data(), line.size()) > 0;
  }
  return d.timed_out ? 1 : 0;
}

template <typename function> function *find_function(void *library, const char *name) {
  return reinterpret_cast<function *>(dlsym(library, name));
}

} // namespace

debuginfod::debuginfod(std::vector<std::string> &problem_lines) : problems(problem_lines) {
  if (environment_value("DEBUGINFOD_URLS").empty()) {
    off = true;
    return;
  }
  library = dlopen("libdebuginfod.so.1", RTLD_NOW);
  auto *begin = library != nullptr ? find_function<void *()>(library, "debuginfod_begin") : nullptr;
  auto *set = library != nullptr
                  ? find_function<void(void *, int (*)(void *, long, long))>(library, "debuginfod_set_progressfn")
                  : nullptr;
  client = begin != nullptr && set != nullptr ? begin() : nullptr;
  off = client == nullptr;
  if (off)
    problems.emplace_back("DEBUGINFOD_URLS is set, but libdebuginfod.so.1 cannot be used");
  else
    set(client, progress);
}

debuginfod::~debuginfod() {
  if (client != nullptr)
    if (auto *end = find_function<void(void *)>(library, "debuginfod_end"))
      end(client);
}

std::string debuginfod::find(const std::string &build_id, const std::string &module) {
  using find_type = int(void *, const unsigned char *, int, char **);
  auto *fetch = off ? nullptr : find_function<find_type>(library, "debuginfod_find_debuginfo");
  if (fetch == nullptr)
    return {};
  download d{module, clock::now(), timeout_wanted()};
  current = &d;
  char *path = nullptr;
  // A length of 0 says that the build-id is written in hexadecimal.
  const int fd = fetch(client, reinterpret_cast<const unsigned char *>(build_id.c_str()), 0, &path);
  current = nullptr;
  if (d.shown) [[maybe_unused]]
    const ssize_t written = ::write(STDERR_FILENO, "\r\033[K", 4);
  std::string found = fd >= 0 && path != nullptr ? path : "";
  if (fd >= 0)
    ::close(fd);
  std::free(path); // NOLINT(cppcoreguidelines-no-malloc): the library's
  if (d.timed_out) {
    off = true;
    problems.push_back(
        fmt::format("DEBUGINFOD_URLS: no answer for {} s, so no server is asked any more", d.timeout.count()));
  }
  return found;
}

} // namespace m9::tool
