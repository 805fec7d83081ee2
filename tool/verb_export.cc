// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 export: statistics in the formats of other tools.
#include <map>
#include <memory>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/export.h"
#include "tool/json.h"
#include "tool/listen.h"
#include "tool/options.h"
#include "tool/output_file.h"
#include "tool/tree.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct export_options {
  std::string target, format, output, listen, by = "type", weight = "memuse";
  uint64_t top = UINT64_MAX;
  bool json = false;
  std::vector<std::string> folders;
  names_choice names;
};

void export_groups(output &out, const export_options &options, const model &m, naming &names) {
  std::vector<group> groups = groups_of(m, names, group_by_of(options.by));
  groups_sort(groups, group_order::live);
  if (groups.size() > options.top)
    groups.resize(options.top);
  if (options.format == "csv")
    export_csv(out, m, groups);
  else
    export_prometheus(out, {{&m, &groups}}, options.by);
}

void write_format(output &out, const export_options &options, const model &m, naming &names) {
  if (options.format == "pprof")
    out.put(export_pprof(m, names));
  else if (options.format == "folded")
    call_tree(m, names, tree_weight_of(options.weight)).print_folded(out);
  else if (options.format == "speedscope")
    export_speedscope(out, m, names);
  else if (options.format == "allocinfo")
    export_allocinfo(out, m, names);
  else if (options.format == "malloc_stats")
    export_malloc_stats(out, m, names);
  else
    export_groups(out, options, m, names);
}

void export_file(const export_options &options) {
  const model m = model_of(dump_load(options.target).view);
  naming names(m, naming_for(naming_of(options.names), group_by_of(options.by)));
  output_file file(options.output);
  write_format(file.out(), options, m, names);
  file.finish();
  for (const std::string &problem : names.problems())
    complain("note: " + problem);
  if (options.json)
    say_written(m, options.output, "format", options.format);
}

void listen(const export_options &options) {
  if (!options.target.empty() || !options.format.empty() || !options.output.empty() || options.json)
    throw error("export: --listen is about all processes, and goes without TARGET, --format, --output and --json");
  listen_and_serve({options.listen, options.folders, options.by, options.top, naming_of(options.names)});
}

void export_or_listen(const export_options &options) {
  if (!options.listen.empty())
    return listen(options);
  if (options.target.empty())
    throw error("export: which statistics? (malloc9 export TARGET --format FORMAT, or --listen ADDRESS:PORT)");
  if (options.format.empty())
    throw error("export: --format is required (malloc9 export --help lists them)");
  if (options.json && options.output.empty())
    throw error("export: --json tells what was written, and wants --output FILE for that");
  export_file(options);
}

} // namespace

void add_export(CLI::App &app) {
  verb_options verb =
      add_verb(app, "export", "Write statistics in the format of another tool",
               "pprof: go tool pprof; folded: flamegraph.pl; speedscope: speedscope.app; allocinfo: Linux's\n"
               "/proc/allocinfo; prometheus: its text format; csv; malloc_stats: FreeBSD's kern.malloc_stats.\n"
               "--by and --top are for csv and prometheus, --weight for folded.\n\n"
               "Example:\n  malloc9 export t.m9 --format pprof -o t.pb.gz\n  go tool pprof -top t.pb.gz\n"
               "  malloc9 export --listen 127.0.0.1:9105 --by function");
  auto options = std::make_shared<export_options>();
  declare_target(verb, options->target, "TARGET", false);
  verb.choice("--format", options->format,
              {"pprof", "folded", "speedscope", "allocinfo", "prometheus", "csv", "malloc_stats"}, "The format");
  verb.text("--listen", options->listen, "Serve /metrics and /debug/pprof/heap of all processes that count in files",
            "ADDR:PORT");
  verb.texts("--dir", options->folders, "For --listen: where the files are (may be repeated)", "DIR");
  verb.text("-o,--output", options->output, "Where it goes [standard output]", "FILE");
  verb.flag("--json", options->json, "Print as JSON what was written into FILE");
  verb.choice("--by", options->by, {"type", "function", "file", "module"},
              "What belongs together; files are the source's [type]");
  verb.number("--top", options->top, "Only the first N, by live bytes");
  verb.choice("--weight", options->weight, {"requests", "bytes", "inuse", "memuse"}, "What is added up [memuse]");
  declare_names(verb, options->names);
  verb.action([options] { export_or_listen(*options); });
}

} // namespace m9::tool
