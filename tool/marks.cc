// SPDX-License-Identifier: BSD-2-Clause
#include "tool/marks.h"

#include <algorithm>

#include "tool/error.h"
#include "tool/live_folder.h"

namespace m9::tool {
namespace {

std::vector<live_name> listed(const std::string &folder) {
  try {
    return live_list(folder);
  } catch (const error &) {
    return {}; // who can read one file of it need not be able to read the folder
  }
}

} // namespace

std::vector<made_mark> marks_of(const std::string &path, const model_head &of) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  const auto file = live_name_of(folder, path.substr(slash + 1));
  if (!file || !file->mark.empty())
    return {};
  std::vector<made_mark> found;
  for (const live_name &name : listed(folder)) {
    format::header header{};
    const bool whole = !name.mark.empty() && !name.mark.ends_with(".part");
    if (whole && name.path == file->path + "@" + name.mark && live_open(name.path, header) && header.pid == of.pid &&
        header.start_ns == of.start_ns)
      found.push_back({name.mark, name.path, header.time_ns});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const made_mark &a, const made_mark &b) { return a.time_ns < b.time_ns; });
  return found;
}

} // namespace m9::tool
