// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 mark: keeps what a process counted up to now, as a file beside its live file; TARGET@NAME is that moment for
// every verb. The process has no part in it.
#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/json.h"
#include "tool/live_folder.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/target.h"
#include "tool/unique_fd.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct mark_options {
  std::string target, name;
  bool json = false;
};

constexpr size_t name_most = 64; // as the library has it

bool is_good_name(const std::string &name) {
  return !name.empty() && name.size() <= name_most && name[0] != '.' &&
         name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
             std::string::npos;
}

// What is kept is a dump: its state is not the process's any more.
void make_dump(const dump_file &image) {
  auto *data = reinterpret_cast<unsigned char *>(image.memory.get());
  for (uint32_t i = 0; i < image.view.header.section_count; i++) {
    unsigned char *at = data + image.view.header.sections_offset + uint64_t{i} * image.view.header.section_size;
    format::section s{};
    std::memcpy(&s, at, sizeof s);
    if (s.kind == format::section_kind::live)
      std::memset(at, 0, sizeof s.kind);
  }
}

void save(const dump_file &image, const std::string &path) {
  const std::string part = path + ".part";
  ::unlink(part.c_str());
  const unique_fd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd)
    throw error(fmt::format("{}: {}", printable(part), errno_text(errno)), exit_failed);
  output out(fd.get(), part);
  out.put({reinterpret_cast<const char *>(image.view.data), image.view.size});
  out.finish();
  if (::rename(part.c_str(), path.c_str()) != 0)
    throw error(fmt::format("{}: {}", printable(path), errno_text(errno)), exit_failed);
}

void mark(const mark_options &options) {
  if (!is_good_name(options.name))
    throw error(fmt::format("{}: a mark's name has up to {} letters, digits, dots, - and _", printable(options.name),
                            name_most));
  const std::string path = target_path(options.target);
  const size_t slash = path.rfind('/');
  const auto name = live_name_of(path.substr(0, slash == std::string::npos ? 0 : slash),
                                 slash == std::string::npos ? path : path.substr(slash + 1));
  const dump_file image = dump_load(path);
  if (!name || name->is_new || !name->mark.empty() || !view_is_live(image.view))
    throw error(fmt::format("{}: no process counts in it, so there is nothing to mark", printable(path)));
  make_dump(image);
  save(image, path + "@" + options.name);
  if (!options.json)
    return;
  output out = standard_output();
  json_writer json(out);
  json.begin_object();
  json.member("mark", options.name);
  json.member("file", path + "@" + options.name);
  json.member("pid", image.view.header.pid);
  json.member("time_ns", image.view.header.time_ns);
  json.end_object();
  json.finish();
  out.finish();
}

} // namespace

void add_mark(CLI::App &app) {
  verb_options verb =
      add_verb(app, "mark", "Keep what a process counted up to now, under a name",
               "The name stands behind the process's own wherever statistics are wanted. A program marks\n"
               "itself by malloc9_mark(\"warm\") of malloc9.h.\n\n"
               "Example:\n  malloc9 mark redis-server warm\n  ...\n"
               "  malloc9 diff redis-server@warm redis-server");
  auto options = std::make_shared<mark_options>();
  declare_target(verb, options->target);
  verb.operand("NAME", options->name, "Letters, digits, dots, - and _");
  verb.flag("--json", options->json, "Print as JSON what was kept, and where");
  verb.action([options] { mark(*options); });
}

} // namespace m9::tool
