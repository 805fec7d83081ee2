// SPDX-License-Identifier: BSD-2-Clause
#include "tool/library_path.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "tool/environment.h"
#include "tool/error.h"
#include "tool/program_check.h"

namespace m9::tool {
namespace {

namespace fs = std::filesystem;

constexpr const char *file_name = "libmalloc9.so";

// lib/*/ for Debian's lib/x86_64-linux-gnu, in the order of their names.
std::vector<fs::path> installed_folders(const fs::path &prefix) {
  std::vector<fs::path> folders;
  for (const char *name : {"lib", "lib64"}) {
    const fs::path lib = prefix / name;
    folders.push_back(lib);
    std::error_code ignored;
    std::vector<fs::path> inner;
    for (fs::directory_iterator at(lib, ignored), end; !ignored && at != end; at.increment(ignored))
      if (at->is_directory(ignored))
        inner.push_back(at->path());
    std::sort(inner.begin(), inner.end());
    folders.insert(folders.end(), inner.begin(), inner.end());
  }
  return folders;
}

std::string checked(const std::string &path) {
  std::error_code failed;
  const fs::path absolute = fs::canonical(path, failed);
  const std::string problem = failed ? failed.message() : library_problem(absolute.string());
  if (!problem.empty())
    throw error(fmt::format("{}: {}", path, problem));
  return absolute.string();
}

} // namespace

std::string library_find(const std::string &given) {
  if (!given.empty())
    return checked(given);
  if (const std::string path = environment_value("MALLOC9_LIB"); !path.empty())
    return checked(path);
  std::error_code failed;
  const fs::path folder = fs::read_symlink("/proc/self/exe", failed).parent_path();
  std::vector<fs::path> candidates = {folder / ".." / "preload" / file_name};
  for (const fs::path &lib : installed_folders(folder / "..")) {
    candidates.push_back(lib / "malloc9" / file_name);
    candidates.push_back(lib / file_name);
  }
  for (const fs::path &candidate : candidates)
    if (fs::is_regular_file(candidate, failed))
      return checked(candidate.string());
  throw error(fmt::format("{} is not where it belongs; say where with --lib or MALLOC9_LIB", file_name));
}

} // namespace m9::tool
