// SPDX-License-Identifier: BSD-2-Clause
#include "tool/processes.h"

#include <algorithm>
#include <ctime>
#include <map>

#include <fmt/format.h>
#include <sys/stat.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/live_file.h"

namespace m9::tool {
namespace {

std::string state_of(int fd, const format::live_entry &live) {
  return live_is_alive(fd) ? "alive" : live.ended != 0 ? "ended" : "died";
}

bool read_process(process &p) {
  format::header header{};
  const unique_fd fd = live_open(p.name.path, header);
  if (!fd || !is_live_file(fd.get(), header))
    return false;
  p.age_s =
      static_cast<uint64_t>(std::max<int64_t>(0, ::time(nullptr) - static_cast<int64_t>(header.time_ns / 1000000000)));
  p.mode = view_mode_name(header.mode);
  try {
    const live_image image = live_read(fd.get(), p.name.path);
    const dump_file dump =
        dump_from_bytes(p.name.path, reinterpret_cast<const unsigned char *>(image.memory.get()), image.size);
    const view_text program = view_string(dump.view, header.program);
    p.program.assign(program.data, program.size);
    std::vector<type_sum> sums(view_count(dump.view, format::section_kind::types));
    view_sum_types(dump.view, sums.data());
    for (const type_sum &sum : sums) {
      p.live_bytes += type_memuse(sum);
      p.allocations += type_requests(sum);
    }
    const format::live_entry live = view_live(dump.view);
    p.incomplete = live.incomplete != 0;
    p.state = state_of(fd.get(), live);
  } catch (const error &e) {
    p.problem = e.what();
  }
  return true;
}

std::string age_text(uint64_t s) {
  if (s < 120)
    return fmt::format("{}s", s);
  return s < 7200     ? fmt::format("{}m", s / 60)
         : s < 172800 ? fmt::format("{}h", s / 3600)
                      : fmt::format("{}d", s / 86400);
}

} // namespace

std::vector<std::string> process_folders(const std::string &folder) {
  if (!folder.empty())
    return {folder};
  std::vector<std::string> found;
  for (const std::string &usual : live_folders())
    if (struct stat st{}; ::lstat(usual.c_str(), &st) == 0)
      found.push_back(usual);
  return found;
}

std::vector<process> processes_in(const std::string &folder) {
  std::vector<process> found;
  std::map<std::string, size_t> by_path;
  const std::vector<live_name> names = live_list(folder);
  for (const live_name &name : names) {
    process p{};
    p.name = name;
    if (name.mark.empty() && read_process(p)) {
      by_path[name.path] = found.size();
      found.push_back(std::move(p));
    }
  }
  for (const live_name &name : names)
    if (!name.mark.empty())
      if (const auto of = by_path.find(name.path.substr(0, name.path.rfind('@'))); of != by_path.end())
        found[of->second].marks.push_back(name.mark);
  return found;
}

const char *const process_heading = "     PID STATE  MODE         AGE        LIVE   ALLOCATIONS  PROGRAM";

std::string process_line(const process &p) {
  std::string more = p.incomplete ? " (counts are missing)" : "";
  for (const std::string &mark : p.marks)
    more += " @" + mark;
  return fmt::format("{:>8} {:<6} {:<9} {:>6} {:>10}K {:>13}  {}{}", p.name.pid, p.state, p.mode, age_text(p.age_s),
                     (p.live_bytes + 1023) / 1024, p.allocations, printable(p.program), printable(more));
}

} // namespace m9::tool
