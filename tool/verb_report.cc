// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 report: the statistics as one HTML page that needs nothing else (tool/page.h).
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/growth.h"
#include "tool/json.h"
#include "tool/naming.h"
#include "tool/options.h"
#include "tool/output_file.h"
#include "tool/page.h"
#include "tool/recording.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct page_options {
  std::string target, out, names_from = "auto";
  bool json = false;
  naming_options names;
};

// "redis.m9" gives "redis.html", in the folder where the command runs.
std::string page_name(const std::string &target) {
  std::string name = target.substr(target.rfind('/') + 1);
  if (const size_t dot = name.rfind('.'); dot != std::string::npos && dot != 0)
    name.resize(dot);
  return name + ".html";
}

model load(const std::string &target, std::optional<page_growth> &growth) {
  if (!is_recording(target)) {
    const dump_file dump = dump_load(target);
    model m = model_of(dump.view);
    growth = growth_by_marks(dump.path, m);
    return m;
  }
  const recording recorded(target);
  if (recorded.cut_short())
    complain(fmt::format("note: {}: ends within a record: what is before is drawn", printable(target)));
  model m = recorded.last();
  growth = growth_of(recorded, m);
  return m;
}

void print_json(const std::string &path, const model &m, const std::optional<page_growth> &growth) {
  output out = standard_output();
  json_writer json(out);
  json.begin_object();
  add_head(json, m);
  json.member("file", path);
  json.member("types", types_sorted(m).size());
  json.member("samples", growth ? growth->samples : 0);
  json.member("marks", growth ? growth->marks.size() : 0);
  json.end_object();
  json.finish();
  out.finish();
}

void report(page_options &options) {
  if (options.json && options.out == "-")
    throw error("report: --json and -o - both go to standard output");
  if (options.names_from != "auto")
    options.names.source = options.names_from == "dump" ? name_source::dump : name_source::debug;
  const std::string path = options.out.empty() ? page_name(options.target) : options.out;
  std::optional<page_growth> growth;
  const model m = load(options.target, growth);
  naming names(m, options.names);
  output_file file(path == "-" ? "" : path);
  page_write(file.out(), options.target, m, names, growth ? &*growth : nullptr);
  file.finish();
  for (const std::string &problem : names.problems())
    complain("note: " + problem);
  if (path != "-")
    complain(fmt::format("{}: written; open it in a browser", printable(path)));
  if (options.json)
    print_json(path, m, growth);
}

} // namespace

void add_report(CLI::App &app) {
  verb_options verb =
      add_verb(app, "report", "Draw statistics as one HTML page",
               "Treemap, flame graph and a table that sorts and searches, and growth over time where TARGET is a\n"
               "recording, or a process with marks (malloc9 mark). The page needs no network and no other file.\n\n"
               "Example:\n  malloc9 run --dump ls.m9 -- ls -lR /usr\n  malloc9 report ls.m9 -o ls.html");
  auto options = std::make_shared<page_options>();
  verb.operand("TARGET", options->target, "A recording (malloc9 record), or statistics as `malloc9 stat` reads them");
  verb.text("-o,--output", options->out, "Where the page goes (default: TARGET's name with .html; -: standard output)",
            "FILE");
  verb.flag("--json", options->json, "Print as JSON what was written");
  verb.choice("--names", options->names_from, {"auto", "dump", "debug"},
              "Whence the names of functions: auto (debug information where TARGET has none), dump (TARGET), debug");
  verb.text("--debug-dir", options->names.debug_folder, "Where debug files are [/usr/lib/debug]");
  verb.action([options] { report(*options); });
}

} // namespace m9::tool
