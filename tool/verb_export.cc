// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 export: statistics in the formats of other tools.
#include <map>
#include <memory>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/export.h"
#include "tool/options.h"
#include "tool/output_file.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct export_options {
  std::string target, format, output, by = "type", weight = "live";
  uint64_t top = UINT64_MAX;
  names_choice names;
};

stack_weight weight_named(const std::string &word) {
  return word == "items"    ? stack_weight::items
         : word == "allocs" ? stack_weight::allocs
         : word == "bytes"  ? stack_weight::bytes
                            : stack_weight::live;
}

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
    export_folded(out, m, names, weight_named(options.weight));
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
}

} // namespace

void add_export(CLI::App &app) {
  verb_options verb =
      add_verb(app, "export", "Write statistics in the format of another tool",
               "pprof: go tool pprof; folded: flamegraph.pl; speedscope: speedscope.app; allocinfo: Linux's\n"
               "/proc/allocinfo; prometheus: its text format; csv; malloc_stats: FreeBSD's kern.malloc_stats.\n"
               "--by and --top are for csv and prometheus, --weight for folded.\n\n"
               "Example:\n  malloc9 export t.m9 --format pprof -o t.pb.gz\n  go tool pprof -top t.pb.gz");
  auto options = std::make_shared<export_options>();
  declare_target(verb, options->target);
  verb.choice("--format", options->format,
              {"pprof", "folded", "speedscope", "allocinfo", "prometheus", "csv", "malloc_stats"}, "The format", true);
  verb.text("-o,--output", options->output, "Where it goes [standard output]", "FILE");
  verb.choice("--by", options->by, {"type", "function", "file", "module"},
              "What belongs together; files are the source's [type]");
  verb.number("--top", options->top, "Only the first N, by live bytes");
  verb.choice("--weight", options->weight, {"live", "items", "allocs", "bytes"},
              "What is added up: bytes that are live, items that are live, allocations, their bytes [live]");
  declare_names(verb, options->names);
  verb.action([options] { export_file(*options); });
}

} // namespace m9::tool
