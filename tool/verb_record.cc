// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 record: looks at a process's live file many times a second, from outside, and keeps what changed
// (tool/recording.h). A program that is started for it counts in a private folder.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/json.h"
#include "tool/launch.h"
#include "tool/live_file.h"
#include "tool/live_folder.h"
#include "tool/marks.h"
#include "tool/options.h"
#include "tool/recording.h"
#include "tool/target.h"
#include "tool/unique_fd.h"
#include "tool/verb.h"
#include "tool/writer.h"

namespace m9::tool {
namespace {

using clock = std::chrono::steady_clock;

struct record_options {
  std::string target, out, library;
  uint64_t hz = 10, seconds = 0;
  bool json = false;
};

// The file of the recording, begun at the first sample, and how far it is, on a terminal.
class session {
public:
  // `from_start`: of a program that was started to be recorded, so that a mark before the first look is part of it.
  session(const record_options &o, bool from_start) : options(o), whole(from_start) {}

  void look(const std::string &target) {
    if (!look_at_counters(target))
      look_at_all(target);
    const auto moment = clock::now();
    seconds = std::chrono::duration<double>(moment - start).count();
    path_of_target = target;
    if (moment - flushed > std::chrono::milliseconds(250)) {
      look_for_marks();
      out->finish(); // whatever ends this program, so much is there
      flushed = moment;
      progress(moment);
    }
  }

  bool began() const { return writer != nullptr; }

  // Whether the process that counts in a live file is gone; of other files nobody knows.
  bool has_ended(const std::string &target) const { return file && !file->is_alive() && !file->is_replaced(target); }

  void finish(const std::string &target) {
    if (!writer) {
      print_json();
      return;
    }
    look_for_marks();
    try {
      if (only_counters)
        look_at_all(target);
    } catch (const error &) {
      only_counters = false; // it was cut short: what is known of all is a little older
    }
    writer->finish(last);
    if (shown)
      complain_over("");
    complain(fmt::format("{}: {} samples of {} types of {} (pid {}), {} bytes; malloc9 report draws it",
                         printable(path), writer->samples(), writer->types(), printable(last.program), last.pid,
                         writer->bytes()));
    print_json();
  }

private:
  void print_json() const {
    if (!options.json)
      return;
    output to = standard_output();
    json_writer json(to);
    json.begin_object();
    json.member("file", path);
    json.member("program", last.program);
    json.member("pid", last.pid);
    json.member("samples", writer ? writer->samples() : 0);
    json.member("hz", options.hz);
    json.member("duration", seconds);
    json.member("types", writer ? writer->types() : 0);
    json.member("marks", marks);
    json.member("bytes", writer ? writer->bytes() : 0);
    json.end_object();
    json.finish();
    to.finish();
  }

  // They are files beside the live file; one that was made again is another.
  void look_for_marks() {
    for (const made_mark &mark : marks_of(path_of_target, last))
      if (known_marks.emplace(mark.name, mark.time_ns).second && (whole || mark.time_ns >= start_ns)) {
        writer->mark(mark.name, mark.time_ns > start_ns ? static_cast<double>(mark.time_ns - start_ns) / 1e9 : 0);
        marks++;
      }
  }

  // What is cheap, while the types are those that the last look at all found.
  bool look_at_counters(const std::string &target) {
    const auto moment = clock::now();
    if (!writer || !file || moment - looked_at_all > std::chrono::milliseconds(250) || file->is_replaced(target) ||
        !file->read_counters(image))
      return false;
    statistics_view view{};
    if (view_open(view, reinterpret_cast<const unsigned char *>(image.memory.get()), image.size).what != nullptr)
      return false;
    sums.resize(view_count(view, format::section_kind::types));
    view_sum_types(view, sums.data());
    only_counters = writer->sample(sums, std::chrono::duration<double>(clock::now() - start).count());
    return only_counters;
  }

  // A live file that lost its name is still there. The first look says what is wrong with the file.
  void look_at_all(const std::string &target) {
    only_counters = false;
    if (file && file->is_replaced(target))
      file.reset();
    if (file)
      image = file->read();
    const dump_file dump =
        file ? dump_from_bytes(target, reinterpret_cast<const unsigned char *>(image.memory.get()), image.size)
             : dump_load(target);
    model now = model_of(dump.view);
    const auto moment = clock::now();
    if (!writer)
      begin(now, moment);
    writer->sample(now, std::chrono::duration<double>(moment - start).count());
    last = std::move(now);
    looked_at_all = moment;
    if (!file)
      open(target);
  }

  void open(const std::string &target) {
    format::header header{};
    unique_fd live(::open(target.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (live && ::pread(live.get(), &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header) &&
        is_live_file(live.get(), header)) {
      file = std::make_unique<live_file>(std::move(live), target);
      image = {};
      looked_at_all = {};
    }
  }

  void begin(const model &first, clock::time_point moment) {
    path = options.out.empty() ? fmt::format("{}-{}.m9r", first.program, first.pid) : options.out;
    fd = unique_fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!fd)
      throw error(fmt::format("{}: {}", printable(path), errno_text(errno)), exit_failed);
    out = std::make_unique<output>(fd.get(), path);
    writer = std::make_unique<recorder>(*out, first);
    start = flushed = moment;
    start_ns = first.time_ns;
    shown = ::isatty(STDERR_FILENO) != 0;
  }

  void progress(clock::time_point moment) const {
    if (shown)
      complain_over(fmt::format("recording {} (pid {}): {:.1f} s, {} samples, {} types, {} bytes; ^C ends it",
                                printable(last.program), last.pid,
                                std::chrono::duration<double>(moment - start).count(), writer->samples(),
                                writer->types(), writer->bytes()));
  }

  // In place of what the line said before.
  static void complain_over(const std::string &text) {
    const std::string line = "\r\033[K" + text;
    if (::write(STDERR_FILENO, line.data(), line.size()) < 0)
      return; // the recording matters more
  }

  const record_options &options;
  bool whole;
  std::string path, path_of_target;
  unique_fd fd;
  std::unique_ptr<output> out;
  std::unique_ptr<recorder> writer;
  model last;
  uint64_t start_ns = 0; // CLOCK_REALTIME, of the first look
  double seconds = 0;    // from the first to the last
  std::set<std::pair<std::string, uint64_t>> known_marks;
  uint64_t marks = 0;
  std::unique_ptr<live_file> file; // what is looked at, if it is one
  live_image image;                // of it, at the last look
  std::vector<type_sum> sums;
  bool only_counters = false; // `last` is older than the last look
  clock::time_point start, flushed, looked_at_all;
  bool shown = false;
};

std::chrono::nanoseconds period_of(const record_options &options) {
  return std::chrono::nanoseconds(uint64_t{1000000000} / options.hz);
}

// Until it ends, the time is over, or INT, TERM or HUP comes, which are waited for rather than handled.
void record_target(const record_options &options) {
  const std::string path = target_path(options.target); // the same process all along
  sigset_t stop;
  sigemptyset(&stop);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&stop, signal);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  session s(options, false);
  const auto start = clock::now();
  auto next = start;
  for (;;) {
    const bool ended = s.has_ended(path); // asked before the look, so that this is the last
    try {
      s.look(path);
    } catch (const error &e) {
      if (!s.began() || e.status == exit_failed)
        throw;
      break; // the file is gone
    }
    next += period_of(options);
    if (ended || (options.seconds != 0 && clock::now() - start >= std::chrono::seconds(options.seconds)))
      break;
    const auto left = std::max(next - clock::now(), clock::duration::zero());
    if (left == clock::duration::zero())
      next = clock::now(); // too slow for that many: as many as can be
    const timespec wait{static_cast<time_t>(left.count() / 1000000000), left.count() % 1000000000};
    if (::sigtimedwait(&stop, nullptr, &wait) > 0)
      break;
  }
  s.finish(path);
}

class private_folder {
public:
  private_folder() : path((std::filesystem::temp_directory_path() / "malloc9-record-XXXXXX").string()) {
    if (::mkdtemp(path.data()) == nullptr)
      throw error(fmt::format("{}: {}", path, errno_text(errno)), exit_failed);
  }
  ~private_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  private_folder(const private_folder &) = delete;
  private_folder &operator=(const private_folder &) = delete;
  std::string path;
};

std::vector<std::string> own_environment() {
  std::vector<std::string> variables;
  for (char **variable = environ; *variable != nullptr; variable++)
    variables.emplace_back(*variable);
  return variables;
}

// `malloc9 run --live` starts it, as it would without us, and says what is wrong; the first file is the program's.
int record_program(const record_options &options, const std::vector<std::string> &program) {
  const private_folder folder;
  std::vector<std::string> arguments{"malloc9", "run", "--live=" + folder.path, "--dump", folder.path + "/end.m9"};
  if (!options.library.empty())
    arguments.insert(arguments.end(), {"--lib", options.library});
  arguments.emplace_back("--");
  arguments.insert(arguments.end(), program.begin(), program.end());
  session s(options, true);
  std::string file;
  std::optional<error> failed; // to write; the program goes on
  const auto look = [&] {
    try {
      if (file.empty())
        for (const live_name &name : live_list(folder.path))
          if (file.empty() && name.mark.empty())
            file = name.path;
      if (!file.empty() && !failed)
        s.look(file);
    } catch (const error &e) {
      if (e.status == exit_failed)
        failed = e;
    }
  };
  child_process child("/proc/self/exe", arguments, own_environment());
  const auto period = std::chrono::ceil<std::chrono::milliseconds>(period_of(options));
  const int status = child.wait(period, look);
  if (file.empty())
    file = folder.path + "/end.m9"; // too short for a look
  look();
  if (failed)
    throw error(*failed);
  if (!s.began())
    complain(fmt::format("{}: no statistics, so no recording", printable(program.front())));
  s.finish(file);
  return exit_status_of(status);
}

void record(const record_options &options, const std::vector<std::string> &program, int *status) {
  if (options.hz < 1 || options.hz > 100)
    throw error(fmt::format("--hz {}: must be 1 to 100", options.hz));
  if (options.target.empty() == program.empty())
    throw error("record what? (malloc9 record TARGET, or malloc9 record -- PROG ARGS)");
  if (program.empty())
    record_target(options);
  else
    *status = record_program(options, program);
}

} // namespace

void add_record(CLI::App &app, const std::vector<std::string> &program, int *status) {
  verb_options verb =
      add_verb(app, "record", "Record what a process holds, many times a second, for malloc9 report",
               "Reads the process's live file from outside; the process does nothing for it.\n\n"
               "Examples:\n  malloc9 record redis-server --seconds 60\n  malloc9 record -o make.m9r -- make");
  auto options = std::make_shared<record_options>();
  verb.operand("TARGET", options->target, "A live process, by PID or program name, or its file (malloc9 ps)", false);
  verb.text("-o,--output", options->out, "Where the recording goes (default: PROGRAM-PID.m9r)", "FILE");
  verb.number("--hz", options->hz, "Samples a second, 1 to 100 [10]");
  verb.number("--seconds", options->seconds, "Stop after this time (default: when the process ends, or at ^C)");
  verb.flag("--json", options->json, "At the end, print a line of JSON about the recording");
  verb.text("--lib", options->library, "For PROG: use this libmalloc9.so, as `malloc9 run` does", "PATH");
  verb.action([options, &program, status] { record(*options, program, status); });
}

} // namespace m9::tool
