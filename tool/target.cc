// SPDX-License-Identifier: BSD-2-Clause
#include "tool/target.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include "tool/error.h"
#include "tool/live_file.h"
#include "tool/live_folder.h"

namespace m9::tool {
namespace {

struct candidate {
  live_name name;
  bool alive = false, here = false; // in our pid namespace
  uint64_t began_ns = 0;
};

bool exists(const std::string &path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

bool matches(const live_name &name, const std::string &process, int fd, const format::header &header) {
  return process == std::to_string(name.pid) || process == live_program(fd, header);
}

void add_from(const std::string &folder, const std::string &process, std::vector<candidate> &found) {
  const uint64_t own = own_pid_namespace();
  for (const live_name &name : live_list(folder)) {
    format::header header{};
    if (!name.mark.empty())
      continue;
    const unique_fd fd = live_open(name.path, header);
    if (fd && matches(name, process, fd.get(), header))
      found.push_back({name, live_is_alive(fd.get()), name.pid_namespace == own, header.time_ns});
  }
}

// A pid of our own namespace before the same of another, the living before the dead, the newest before the older.
bool comes_first(const candidate &a, const candidate &b) {
  return std::tuple(a.alive, a.here, a.began_ns) > std::tuple(b.alive, b.here, b.began_ns);
}

std::string live_path(const std::string &process) {
  std::vector<candidate> found;
  for (const std::string &folder : live_folders())
    if (exists(folder))
      add_from(folder, process, found);
  if (found.empty())
    return {};
  std::sort(found.begin(), found.end(), comes_first);
  std::vector<std::string> same;
  for (const candidate &c : found)
    if (c.alive && c.here == found[0].here)
      same.push_back(std::to_string(c.name.pid));
  if (same.size() > 1)
    throw error(fmt::format("{}: which of them? Name one by its pid: {}", printable(process), fmt::join(same, ", ")));
  return found[0].name.path;
}

} // namespace

std::string target_path(const std::string &target) {
  if (exists(target) || target.find('/') != std::string::npos)
    return target; // of a mark, too: FILE@NAME is its file
  const size_t at = target.rfind('@');
  const std::string process = target.substr(0, at);
  const std::string path = process.empty() ? "" : live_path(process);
  if (path.empty())
    return target;
  const std::string mark = at == std::string::npos ? "" : target.substr(at);
  if (!mark.empty() && !exists(path + mark))
    throw error(
        fmt::format("{}: process {} has no mark {}", printable(target), printable(process), printable(mark.substr(1))));
  return path + mark;
}

} // namespace m9::tool
