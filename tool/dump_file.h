// SPDX-License-Identifier: BSD-2-Clause
//
// A dump, or a live file as it is at this moment, in memory, checked. It is read whole, not mapped, so that a file that
// shrinks meanwhile is an error and no signal; its first bytes are looked at before the rest is read, so that a wrong
// file of any size fails at once.
#pragma once

#include <memory>
#include <string>

#include "core/view.h"

namespace m9::tool {

constexpr uint64_t dump_max_size = uint64_t{4} << 30; // bytes

struct dump_file {
  std::string path;
  std::unique_ptr<uint64_t[]> memory;
  statistics_view view{};
};

// `target`: a path, or a process that counts in a live file, by its pid or its program's name; TARGET@MARK: as it was
// when that mark was made (tool/target.h). Throws error: "PATH: what is wrong (at byte N)".
dump_file dump_load(const std::string &target);

// The same from bytes that are here already.
dump_file dump_from_bytes(const std::string &path, const unsigned char *data, size_t size);

} // namespace m9::tool
