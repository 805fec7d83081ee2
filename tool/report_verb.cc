// SPDX-License-Identifier: BSD-2-Clause
//
// What the verbs that print statistics have in common: their options, and how they come to a file.
#include <memory>

#include "tool/dump_file.h"
#include "tool/options.h"
#include "tool/verb.h"

namespace m9::tool {

namespace {

naming_options naming_of(const report_options &options) {
  naming_options names = options.names;
  if (options.names_from == "dump")
    names.source = name_source::dump;
  if (options.names_from == "debug")
    names.source = name_source::debug;
  return names;
}

} // namespace

void add_report_verb(CLI::App &app, const std::string &name, const std::string &about, const std::string &footer,
                     void (*show)(output &out, const statistics_view &view, const report_options &options),
                     void (*more)(verb_options &verb, report_options &options)) {
  verb_options verb = add_verb(app, name, about, footer);
  auto options = std::make_shared<report_options>();
  verb.operand("FILE", options->file, "Statistics that a program wrote (MALLOC9_CONF=dump:FILE, malloc9 run --dump)");
  verb.flag("--json", options->json, "Print JSON, per-CPU figures included");
  verb.flag("--csv", options->csv, "Print comma-separated values");
  verb.exclude("--csv", "--json");
  verb.flag("--percpu", options->percpu, "Print a line for each CPU, with what was counted there");
  if (more != nullptr)
    more(verb, *options);
  verb.action([options, show] {
    const dump_file dump = dump_load(options->file);
    options->names = naming_of(*options);
    output out = standard_output();
    show(out, dump.view, *options);
    out.finish();
  });
}

} // namespace m9::tool
