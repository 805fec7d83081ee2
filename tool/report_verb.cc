// SPDX-License-Identifier: BSD-2-Clause
//
// What the verbs that print statistics have in common: their options, and how they come to a file.
#include <memory>

#include "tool/dump_file.h"
#include "tool/options.h"
#include "tool/verb.h"

namespace m9::tool {

void declare_target(verb_options &verb, std::string &to, const std::string &name, bool required) {
  verb.operand(name, to, "Statistics that a program wrote (MALLOC9_CONF=dump:FILE, malloc9 run --dump)", required);
}

void declare_names(verb_options &verb, names_choice &to) {
  verb.choice(
      "--names", to.from, {"auto", "dump", "debug"},
      "Whence the names of functions: debug information (auto: only where the statistics have none) or the dump");
  verb.text("--debug-dir", to.debug_folder, "Where debug files are [/usr/lib/debug]");
}

naming_options naming_of(const names_choice &choice) {
  naming_options names;
  names.debug_folder = choice.debug_folder;
  if (choice.from == "dump")
    names.source = name_source::dump;
  if (choice.from == "debug")
    names.source = name_source::debug;
  return names;
}

void add_report_verb(CLI::App &app, const std::string &name, const std::string &about, const std::string &footer,
                     void (*show)(output &out, const statistics_view &view, const report_options &options),
                     void (*more)(verb_options &verb, report_options &options)) {
  verb_options verb = add_verb(app, name, about, footer);
  auto options = std::make_shared<report_options>();
  declare_target(verb, options->file, "FILE");
  verb.flag("--json", options->json, "Print JSON, per-CPU figures included");
  verb.flag("--csv", options->csv, "Print comma-separated values");
  verb.exclude("--csv", "--json");
  verb.flag("--percpu", options->percpu, "Print a line for each CPU, with what was counted there");
  if (more != nullptr)
    more(verb, *options);
  verb.action([options, show] {
    const dump_file dump = dump_load(options->file);
    output out = standard_output();
    show(out, dump.view, *options);
    out.finish();
  });
}

} // namespace m9::tool
