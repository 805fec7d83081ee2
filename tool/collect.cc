// SPDX-License-Identifier: BSD-2-Clause
#include "tool/collect.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "tool/dump_file.h"
#include "tool/environment.h"
#include "tool/error.h"
#include "tool/writer.h"

namespace m9::tool {
namespace {

namespace fs = std::filesystem;

// A comma would end the value in MALLOC9_CONF, and % begins a field of the template.
std::string temporary_root() {
  std::string root = environment_value("TMPDIR");
  return !root.starts_with('/') || root.find_first_of(",%") != std::string::npos ? "/tmp" : root;
}

bool is_gone(pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

// Loads the last dump of each program that the process was: exec begins a new one, with a start of its own.
std::map<uint64_t, dump_file> load_last(const std::vector<std::string> &paths, std::vector<std::string> &problems) {
  std::map<uint64_t, dump_file> by_start;
  for (const std::string &path : paths)
    try {
      dump_file dump = dump_load(path);
      const format::header &h = dump.view.header;
      const auto found = by_start.find(h.start_ns);
      if (found == by_start.end() || found->second.view.header.sequence < h.sequence)
        by_start.insert_or_assign(h.start_ns, std::move(dump));
    } catch (const error &e) {
      problems.emplace_back(e.what());
    }
  return by_start;
}

} // namespace

dump_collector::dump_collector(bool with_children) : children(with_children) {
  std::string name = temporary_root() + "/malloc9-XXXXXX";
  if (mkdtemp(name.data()) == nullptr)
    throw error(fmt::format("{}: {}", name, errno_text(errno)), exit_failed);
  folder = name;
}

// Under another name first, so that a process that still runs cannot put a file into what is being removed.
dump_collector::~dump_collector() {
  std::error_code failed;
  const std::string gone = folder + ".gone";
  fs::rename(folder, gone, failed);
  fs::remove_all(failed ? folder : gone, failed);
}

dump_collector::process_files dump_collector::files() const {
  process_files found;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename().string();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec == std::errc() && name.ends_with(".m9"))
      found[pid].push_back(at->path().string());
  }
  return found;
}

void dump_collector::merge(const std::vector<std::string> &paths) {
  for (const auto &[start, dump] : load_last(paths, problem_lines))
    merged.add(model_of(dump.view));
}

void dump_collector::sweep(pid_t first, bool at_end) {
  for (const auto &[pid, paths] : files()) {
    if (pid == first || !(at_end || is_gone(pid)))
      continue;
    if (children)
      merge(paths);
    for (const std::string &path : paths)
      fs::remove(path);
  }
}

std::optional<std::string> dump_collector::take(pid_t first, const std::string &name) {
  sweep(first, true);
  const auto all = files();
  const auto own = all.find(first);
  model last; // of the programs that `first` was
  last.program = name;
  last.pid = static_cast<uint64_t>(first);
  if (own != all.end())
    for (const auto &[start, dump] : load_last(own->second, problem_lines)) {
      first_bytes.assign(reinterpret_cast<const char *>(dump.view.data), dump.view.size);
      last = model_of(dump.view);
      if (children)
        merged.add(last);
    }
  if (children && merged.processes() != 0)
    return model_write(merged.result(last));
  return has_first() ? std::optional(first_bytes) : std::nullopt;
}

} // namespace m9::tool
