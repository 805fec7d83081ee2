// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 ps and gc: the processes that count in live files, and what is left of those that do not any more.
#include <cerrno>
#include <csignal>
#include <ctime>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/error.h"
#include "tool/json.h"
#include "tool/live_folder.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/processes.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct folder_options {
  std::string folder;
  bool json = false, dry_run = false, ended = false;
};

void print_json(output &out, const std::vector<process> &all) {
  json_writer json(out);
  json.begin_array();
  for (const process &p : all) {
    json.begin_object();
    json.member("pid", p.name.pid);
    json.member("pid_namespace", p.name.pid_namespace);
    json.member("program", p.program);
    json.member("state", p.state);
    json.member("mode", p.mode);
    json.member("live_bytes", p.live_bytes);
    json.member("allocations", p.allocations);
    json.member("age_seconds", p.age_s);
    json.member("incomplete", p.incomplete);
    json.member("file", p.name.path);
    json.key("marks").begin_array();
    for (const std::string &mark : p.marks)
      json.value(mark);
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.finish();
}

void print_processes(output &out, const std::vector<process> &all) {
  out.print("{}\n", process_heading);
  for (const process &p : all)
    out.print("{}\n", process_line(p));
}

void ps(const folder_options &options) {
  std::vector<process> all;
  for (const std::string &folder : process_folders(options.folder))
    for (process &p : processes_in(folder))
      if (p.problem.empty())
        all.push_back(std::move(p));
      else
        complain(p.problem);
  output out = standard_output();
  if (options.json)
    print_json(out, all);
  else
    print_processes(out, all);
  out.finish();
}

// Its lock is taken first, so that a process that has just got the same pid does not take the file for its own past.
bool remove_remains(const live_name &name, bool dry_run) {
  const unique_fd fd(::open(name.path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct flock all {};
  all.l_type = F_WRLCK;
  struct stat opened {
  }, now{};
  if (!fd || ::fcntl(fd.get(), F_OFD_SETLK, &all) != 0 || ::fstat(fd.get(), &opened) != 0 ||
      ::lstat(name.path.c_str(), &now) != 0 || opened.st_ino != now.st_ino || opened.st_dev != now.st_dev)
    return false;
  return dry_run || ::unlink(name.path.c_str()) == 0;
}

// Nobody makes that file any more: it takes a process no time, unless it was killed. Those of other pid namespaces
// cannot be asked for.
bool is_left_over(const live_name &name) {
  struct stat st {};
  constexpr time_t long_enough = 10; // seconds
  if (::lstat(name.path.c_str(), &st) != 0 || !S_ISREG(st.st_mode))
    return false;
  const bool gone =
      name.pid_namespace == own_pid_namespace() && ::kill(static_cast<pid_t>(name.pid), 0) != 0 && errno == ESRCH;
  return gone || st.st_ctime + long_enough < ::time(nullptr);
}

void gc(const folder_options &options) {
  output out = standard_output();
  std::vector<std::string> removed;
  uint64_t files = 0, bytes = 0;
  const auto remove = [&](const live_name &name) {
    struct stat st {};
    if (::lstat(name.path.c_str(), &st) != 0 || !remove_remains(name, options.dry_run))
      return false;
    files++;
    bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    removed.push_back(name.path);
    return true;
  };
  for (const std::string &folder : process_folders(options.folder)) {
    const std::vector<live_name> names = live_list(folder);
    for (const process &p : processes_in(folder)) {
      if (p.state == "alive" || (options.ended && p.state != "ended") || !remove(p.name))
        continue;
      for (const live_name &mark : names)
        if (!mark.mark.empty() && mark.path.starts_with(p.name.path + "@"))
          remove(mark);
    }
    if (!options.ended)
      for (const live_name &name : live_list_new(folder))
        if (is_left_over(name))
          remove(name);
  }
  if (options.json) {
    json_writer json(out);
    json.begin_array();
    for (const std::string &path : removed)
      json.value(path);
    json.end_array();
    json.finish();
  } else {
    out.print("{} {} file{}, {}K\n", options.dry_run ? "would remove" : "removed", files, files == 1 ? "" : "s",
              bytes / 1024);
  }
  out.finish();
}

verb_options add_folder_verb(CLI::App &app, const char *name, const char *about, const char *footer,
                             folder_options &options) {
  verb_options verb = add_verb(app, name, about, footer);
  verb.operand("DIR", options.folder,
               "The folder of live files (default: $XDG_RUNTIME_DIR/malloc9 and /dev/shm/malloc9-UID)", false);
  verb.flag("--json", options.json, "Print JSON");
  return verb;
}

} // namespace

void add_ps(CLI::App &app) {
  auto options = std::make_shared<folder_options>();
  verb_options verb =
      add_folder_verb(app, "ps", "List the processes that count in live files",
                      "STATE is alive, ended (by itself) or died: a signal killed it, or it became another program by\n"
                      "exec. AGE is since its file was made; @NAME are its marks.\n\n"
                      "Example:\n  malloc9 run --live -- redis-server &\n  malloc9 ps\n  malloc9 stat redis-server",
                      *options);
  verb.action([options] { ps(*options); });
}

void add_gc(CLI::App &app) {
  auto options = std::make_shared<folder_options>();
  verb_options verb = add_folder_verb(app, "gc", "Remove the live files of processes that are no more",
                                      "Marks go with the file that they belong to. --json lists the files.", *options);
  verb.flag("--dry-run,-n", options->dry_run, "Only say what would be removed");
  verb.flag("--ended", options->ended, "Keep what is left of processes that died");
  verb.action([options] { gc(*options); });
}

} // namespace m9::tool
