// SPDX-License-Identifier: BSD-2-Clause
#include "tool/jit_map.h"

#include <charconv>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/unique_fd.h"

namespace m9::tool {
namespace {

constexpr size_t map_most = size_t{256} << 20; // bytes

std::string text_of(const std::string &path, uint64_t process_start_ns) {
  const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) || (st.st_uid != ::geteuid() && st.st_uid != 0) ||
      static_cast<uint64_t>(st.st_mtim.tv_sec) < process_start_ns / 1'000'000'000)
    return {};
  std::string text;
  char buffer[65536];
  for (ssize_t n = 0; text.size() < map_most && (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  return text;
}

bool hex(const char *&at, const char *end, uint64_t &value) {
  const auto [stop, failed] = std::from_chars(at, end, value, 16);
  at = stop;
  return failed == std::errc() && at != end && *at++ == ' ';
}

} // namespace

jit_map::jit_map(const std::string &path, uint64_t process_start_ns) {
  const std::string text = text_of(path, process_start_ns);
  for (size_t begin = 0; begin < text.size();) {
    const size_t newline = std::min(text.find('\n', begin), text.size());
    const char *at = text.data() + begin, *end = text.data() + newline;
    entry e{};
    if (hex(at, end, e.start) && hex(at, end, e.size) && e.size != 0 && at != end) {
      e.name.assign(at, end);
      entries.push_back(std::move(e));
    }
    begin = newline + 1;
  }
}

std::string jit_map::at(uint64_t address) const {
  for (auto e = entries.rbegin(); e != entries.rend(); ++e)
    if (address - e->start < e->size)
      return e->name;
  return {};
}

std::string jit_map::only(uint64_t start, uint64_t end) const {
  const entry *found = nullptr;
  for (const entry &e : entries)
    if (e.start < end && (e.start >= start || start - e.start < e.size)) {
      if (found != nullptr)
        return {};
      found = &e;
    }
  return found != nullptr ? found->name : "";
}

} // namespace m9::tool
