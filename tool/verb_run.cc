// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 run: starts a program with the library preloaded and prints or keeps its statistics. The program leaves them
// as a dump in a private folder, also to be printed: so that one that left none is noticed, whatever became of it.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/collect.h"
#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/launch.h"
#include "tool/library_path.h"
#include "tool/live_folder.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/program_check.h"
#include "tool/table_output.h"
#include "tool/unique_fd.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct run_options {
  bool print = false;
  bool children = false;
  bool json = false;
  std::string dump;
  std::string library;
  bool live = false;
  std::string live_folder; // empty: the usual one
  std::vector<std::string> unused;
};

// The file of --dump, opened before the program runs so that a bad path does not cost a run; removed again if it is
// new and nothing came.
class dump_target {
public:
  explicit dump_target(std::string file) : path(std::move(file)) {
    if (path.empty())
      return;
    fd = unique_fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    is_new = static_cast<bool>(fd);
    if (!fd && errno == EEXIST)
      fd = unique_fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd)
      throw error(fmt::format("{}: {}", path, errno_text(errno)));
  }

  void save(const std::string &bytes) {
    if (!fd)
      return;
    struct stat st {};
    if (fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode) && ftruncate(fd.get(), 0) != 0)
      throw error(fmt::format("{}: {}", path, errno_text(errno)), exit_failed);
    output out(fd.get(), path);
    out.put(bytes);
    out.finish();
  }

  void give_up() {
    if (is_new)
      ::unlink(path.c_str());
  }

private:
  std::string path;
  unique_fd fd;
  bool is_new = false;
};

// MALLOC9_CONF without `first:PID`, which would make the new process a child of the one that set it. dump_private: who
// outlives the program finds no folder, and says nothing.
std::string configuration(std::string_view inherited, const std::string &dump_template,
                          const std::string &live_folder) {
  std::string conf;
  while (!inherited.empty()) {
    const size_t end = std::min(inherited.find(','), inherited.size());
    const std::string_view item = inherited.substr(0, end);
    if (!item.empty() && !item.starts_with("first:"))
      conf.append(item).append(",");
    inherited.remove_prefix(std::min(end + 1, inherited.size()));
  }
  if (!live_folder.empty())
    conf += "stats:" + live_folder + ",";
  return conf + "dump_private:true,dump:" + dump_template;
}

std::vector<std::string> environment_for(const std::string &library, const std::string &dump_template,
                                         const std::string &live_folder) {
  std::vector<std::string> variables;
  std::string preload = "LD_PRELOAD=" + library;
  std::string_view conf;
  for (char **variable = environ; *variable != nullptr; variable++) {
    const std::string_view text = *variable;
    if (text.starts_with("LD_PRELOAD="))
      preload.append(text.size() > std::strlen("LD_PRELOAD=") ? ":" : "")
          .append(text.substr(std::strlen("LD_PRELOAD=")));
    else if (text.starts_with("MALLOC9_CONF="))
      conf = text.substr(std::strlen("MALLOC9_CONF="));
    else
      variables.emplace_back(text);
  }
  variables.push_back(preload);
  variables.push_back("MALLOC9_CONF=" + configuration(conf, dump_template, live_folder));
  return variables;
}

std::string why_nothing(const std::string &name, pid_t pid, int status) {
  const std::string who = fmt::format("{} (pid {}) left no statistics: ", name, pid);
  if (WIFSIGNALED(status)) {
    const char *description = sigdescr_np(WTERMSIG(status));
    return who + fmt::format("signal {} ({}) killed it", WTERMSIG(status), description ? description : "real-time");
  }
  return who + "it became a program without the library, ended by a raw system call or on a signal's stack, or never "
               "used the library";
}

bool nothing_counted(const statistics_view &view) {
  std::vector<type_sum> sums(view_count(view, format::section_kind::types));
  view_sum_types(view, sums.data());
  return std::all_of(sums.begin(), sums.end(), [](const type_sum &s) { return s.numallocs == 0 && s.numfrees == 0; });
}

void print_statistics(const std::string &name, const std::string &bytes, bool json) {
  const dump_file dump = dump_from_bytes(name, reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
  if (json) {
    const model m = model_of(dump.view);
    naming names(m, {});
    output out(STDERR_FILENO, "standard error");
    print_stat_json(out, m, names);
    return out.finish();
  }
  if (nothing_counted(dump.view)) {
    complain(fmt::format("{} (pid {}), {}: it allocated nothing", name, dump.view.header.pid,
                         view_mode_name(dump.view.header.mode)));
    return;
  }
  output out(STDERR_FILENO, "standard error");
  print_table(out, dump.view);
  out.finish();
}

void report(const run_options &options, const std::string &name, pid_t pid, int status, dump_collector &dumps,
            dump_target &target) {
  const auto bytes = dumps.take(pid, name);
  for (const std::string &problem : dumps.problems())
    complain(problem);
  if (!dumps.has_first() && dumps.problems().empty())
    complain(why_nothing(name, pid, status));
  if (!bytes)
    return target.give_up();
  target.save(*bytes);
  if (options.print || options.json || options.dump.empty())
    print_statistics(name, *bytes, options.json);
}

int run(const run_options &options, const std::vector<std::string> &program) {
  if (program.empty())
    throw error("run: which program? (malloc9 run [OPTIONS] -- PROG ARGS)");
  const program_verdict verdict = program_check(program.front());
  if (!verdict.problem.empty())
    throw error(verdict.problem);
  const std::string library = library_find(options.library);
  if (!verdict.warning.empty())
    complain("warning: " + verdict.warning);
  dump_target target(options.dump);
  dump_collector dumps(options.children);
  const std::string folder = options.live ? live_folder_make(options.live_folder) : "";
  child_process child(verdict.path, program, environment_for(library, dumps.dump_template(), folder));
  const int status = child.wait(std::chrono::seconds(1), [&] { dumps.sweep(child.pid(), false); });
  try {
    report(options, verdict.path.substr(verdict.path.rfind('/') + 1), child.pid(), status, dumps, target);
  } catch (const error &e) { // the program's own failure is the greater news
    complain(e.what());
    return exit_status_of(status) != 0 ? exit_status_of(status) : exit_failed;
  }
  return exit_status_of(status);
}

} // namespace

command_line command_line_split(const std::vector<std::string> &arguments) {
  const auto is_run = [](const std::string &a) { return a == "run"; };
  const auto verb = std::find_if(arguments.begin(), arguments.end(), is_run);
  if (!arguments.empty() && arguments.front() == "record") {
    const auto end = std::find(arguments.begin(), arguments.end(), "--");
    return {{arguments.begin(), end}, {end == arguments.end() ? end : end + 1, arguments.end()}};
  }
  if (verb != arguments.begin())
    return {arguments, {}};
  for (auto at = verb + 1; at < arguments.end(); ++at) {
    if (*at == "--")
      return {{arguments.begin(), at}, {at + 1, arguments.end()}};
    if (!at->starts_with('-') || *at == "-")
      return {{arguments.begin(), at}, {at, arguments.end()}};
    if ((*at == "--dump" || *at == "--lib") && at + 1 < arguments.end())
      ++at;
  }
  return {arguments, {}};
}

void add_run(CLI::App &app, const std::vector<std::string> &program, int *status) {
  verb_options verb = add_verb(
      app, "run", "Run a program under the library and print who allocated",
      "Signals are passed on, and the exit status is the program's (128+N for signal N); 2 if the program cannot\n"
      "be run or would not use the library. MALLOC9_CONF and LD_PRELOAD of the environment stay in force.\n\n"
      "Examples:\n  malloc9 run ls -l\n  malloc9 run --dump git.m9 -- git log --oneline -- README.md\n"
      "  malloc9 run --children -- make\n  malloc9 run --live -- redis-server");
  auto options = std::make_shared<run_options>();
  // For the help only: command_line_split() took them out before.
  verb.operands("PROG", options->unused, "The program, looked up as a shell does, and its arguments", false);
  verb.flag("--print", options->print, "Print the table of `malloc9 stat` on standard error (default without --dump)");
  verb.flag("--json", options->json, "Print the JSON of `malloc9 stat` on standard error instead of the table");
  verb.text("--dump", options->dump, "Write the statistics into FILE, for malloc9 stat and zones", "FILE");
  verb.flag("--children", options->children, "Merge the statistics of the program and of all its children");
  verb.text_or_not("--live", options->live, options->live_folder,
                   "Count in files that every verb reads while the program runs, by PID or name; =DIR: in that folder");
  verb.text("--lib", options->library, "Use this libmalloc9.so (default: MALLOC9_LIB, or found beside malloc9)",
            "PATH");
  verb.action([options, &program, status] { *status = run(*options, program); });
}

} // namespace m9::tool
