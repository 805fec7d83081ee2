// SPDX-License-Identifier: BSD-2-Clause
//
// The folder where processes leave their live files: PID-NAMESPACE[-TIME].live, and FILE@NAME for a mark. A file that
// is still being made is FILE.new, which its process renames. Whatever else lies there is not looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/format.h"
#include "tool/unique_fd.h"

namespace m9::tool {

struct live_name {
  std::string path;
  uint64_t pid = 0, pid_namespace = 0;
  std::string mark; // empty: the live file itself
  bool is_new = false;
};

// $XDG_RUNTIME_DIR/malloc9, and /dev/shm/malloc9-UID. The first is where `malloc9 run --live` puts files, if it can.
std::vector<std::string> live_folders();
// The folder for `malloc9 run --live`, made if it is missing: the usual one, or `wanted`. Throws error where it is not
// safe.
std::string live_folder_make(const std::string &wanted);
// What is in a folder, by name: files that are whole, and marks. Throws error where it cannot be read, or is a link or
// another user's.
std::vector<live_name> live_list(const std::string &folder);
// The same for files that are being made, or were when their process was killed.
std::vector<live_name> live_list_new(const std::string &folder);
std::optional<live_name> live_name_of(const std::string &folder, const std::string &name);

// A live file opened for reading, if it is ours and one: no link, no FIFO. `header` has its first bytes.
unique_fd live_open(const std::string &path, format::header &header);
// The program's name as the file has it.
std::string live_program(int fd, const format::header &header);

uint64_t own_pid_namespace(); // inode; 0: unknown

} // namespace m9::tool
