// SPDX-License-Identifier: BSD-2-Clause
//
// What the verbs that print statistics have in common: their options, and how they come to a file.
#include <memory>

#include <CLI/CLI.hpp>

#include "tool/dump_file.h"
#include "tool/verb.h"

namespace m9::tool {

void add_report_verb(CLI::App &app, const std::string &name, const std::string &about, const std::string &footer,
                     void (*show)(output &out, const statistics_view &view, const report_options &options),
                     void (*more)(CLI::App &verb, report_options &options)) {
  auto *verb = app.add_subcommand(name, about);
  auto options = std::make_shared<report_options>();
  verb->add_option("FILE", options->file,
                   "Statistics that a program wrote (MALLOC9_CONF=dump:FILE, malloc9 run --dump)")
      ->type_name("")
      ->required();
  auto *json = verb->add_flag("--json", options->json, "Print JSON, per-CPU figures included");
  verb->add_flag("--csv", options->csv, "Print comma-separated values")->excludes(json);
  verb->add_flag("--percpu", options->percpu, "Print a line for each CPU, with what was counted there");
  if (more != nullptr)
    more(*verb, *options);
  verb->footer(footer);
  verb->callback([options, show] {
    const dump_file dump = dump_load(options->file);
    output out = standard_output();
    show(out, dump.view, *options);
    out.finish();
  });
}

} // namespace m9::tool
