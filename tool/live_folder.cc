// SPDX-License-Identifier: BSD-2-Clause
#include "tool/live_folder.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/view.h"
#include "tool/environment.h"
#include "tool/error.h"

namespace m9::tool {
namespace {

namespace fs = std::filesystem;

bool take_number(std::string_view &text, uint64_t &to) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), to);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return failed == std::errc();
}

bool take(std::string_view &text, std::string_view wanted) {
  if (!text.starts_with(wanted))
    return false;
  text.remove_prefix(wanted.size());
  return true;
}

void check_folder(const std::string &folder) {
  struct stat st {};
  if (::lstat(folder.c_str(), &st) != 0)
    throw error(fmt::format("{}: {}", printable(folder), errno_text(errno)));
  if (S_ISLNK(st.st_mode))
    throw error(fmt::format("{}: is a link; name the folder itself", printable(folder)));
  if (!S_ISDIR(st.st_mode))
    throw error(fmt::format("{}: is not a folder", printable(folder)));
  if (st.st_uid != ::geteuid() && st.st_uid != 0 && ::geteuid() != 0)
    throw error(fmt::format("{}: belongs to another user", printable(folder)));
}

std::vector<live_name> list(const std::string &folder, bool is_new) {
  check_folder(folder);
  std::vector<live_name> names;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed))
    if (auto found = live_name_of(folder, at->path().filename().string()); found && found->is_new == is_new)
      names.push_back(std::move(*found));
  if (failed)
    throw error(fmt::format("{}: {}", printable(folder), failed.message()));
  std::sort(names.begin(), names.end(),
            [](const live_name &a, const live_name &b) { return std::tie(a.pid, a.path) < std::tie(b.pid, b.path); });
  return names;
}

} // namespace

std::vector<std::string> live_folders() {
  std::vector<std::string> folders;
  if (const std::string run = environment_value("XDG_RUNTIME_DIR"); run.starts_with('/'))
    folders.push_back(run + "/malloc9");
  folders.push_back(fmt::format("/dev/shm/malloc9-{}", ::geteuid()));
  return folders;
}

std::string live_folder_make(const std::string &wanted) {
  std::error_code failed;
  std::string folder = wanted.empty() ? live_folders().front() : fs::absolute(wanted, failed).string();
  if (wanted.empty() && ::access(fs::path(folder).parent_path().c_str(), W_OK) != 0)
    folder = live_folders().back();
  while (folder.size() > 1 && folder.back() == '/')
    folder.pop_back();
  if (folder.find(',') != std::string::npos)
    throw error(
        fmt::format("{}: a comma would end the setting in MALLOC9_CONF; use another folder", printable(folder)));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw error(fmt::format("{}: {}", printable(folder), errno_text(errno)));
  check_folder(folder);
  struct stat st {};
  if (::stat(folder.c_str(), &st) != 0 || ((st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0))
    throw error(fmt::format("{}: others may write there; chmod 700 it, or use another folder", printable(folder)));
  return folder;
}

std::optional<live_name> live_name_of(const std::string &folder, const std::string &name) {
  live_name found;
  std::string_view left = name;
  uint64_t time = 0;
  if (!take_number(left, found.pid) || !take(left, "-") || !take_number(left, found.pid_namespace) ||
      (take(left, "-") && !take_number(left, time)) || !take(left, ".live"))
    return std::nullopt;
  if (take(left, ".new")) {
    found.is_new = true;
  } else if (take(left, "@")) {
    found.mark = left;
    left = {};
    if (found.mark.empty())
      return std::nullopt;
  }
  if (!left.empty())
    return std::nullopt;
  found.path = folder + "/" + name;
  return found;
}

std::vector<live_name> live_list(const std::string &folder) { return list(folder, false); }
std::vector<live_name> live_list_new(const std::string &folder) { return list(folder, true); }

unique_fd live_open(const std::string &path, format::header &header) {
  unique_fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat st {};
  const bool ours =
      fd && ::fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == ::geteuid() || ::geteuid() == 0);
  const bool read = ours && ::pread(fd.get(), &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header);
  const bool good = read && std::memcmp(header.magic, format::magic, sizeof format::magic) == 0 &&
                    header.version == format::version && header.byte_order == format::byte_order_mark;
  return good ? std::move(fd) : unique_fd();
}

std::string live_program(int fd, const format::header &header) {
  for (uint32_t i = 0; i < std::min(header.section_count, 64U); i++) {
    format::section s{};
    const uint64_t at = header.sections_offset + uint64_t{i} * sizeof s;
    if (::pread(fd, &s, sizeof s, static_cast<off_t>(at)) != static_cast<ssize_t>(sizeof s))
      break;
    if (s.kind != format::section_kind::strings || header.program.size > 4096)
      continue;
    std::string name(header.program.size, '\0');
    const ssize_t n = ::pread(fd, name.data(), name.size(), static_cast<off_t>(s.offset + header.program.offset));
    name.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    return name;
  }
  return {};
}

uint64_t own_pid_namespace() {
  struct stat st {};
  return ::stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

} // namespace m9::tool
