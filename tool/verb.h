// SPDX-License-Identifier: BSD-2-Clause
//
// The verbs of the command, one file each. add_xxx() declares a verb's arguments; what it does when chosen throws
// tool::error, or leaves the exit status in *status.
#pragma once

#include <string>
#include <vector>

#include "core/view.h"
#include "tool/naming.h"
#include "tool/output.h"

namespace CLI {
class App;
}

namespace m9::tool {

class verb_options;
class command;

// What follows the options of `malloc9 run`, or the `--` of `malloc9 record`: the program and its arguments, taken out
// before CLI11 sees them, since a program may have options of the same names, and a `--` of its own.
struct command_line {
  std::vector<std::string> ours; // without argv[0]
  std::vector<std::string> program;
};

command_line command_line_split(const std::vector<std::string> &arguments);

void add_run(CLI::App &app, const std::vector<std::string> &program, int *status);
void add_stat(CLI::App &app);
void print_stat_json(output &out, const model &m, naming &names);
void add_zones(CLI::App &app);
void add_sites(CLI::App &app);
void add_leaks(CLI::App &app, int *status);
void add_diff(CLI::App &app);
void add_info(CLI::App &app);
void add_merge(CLI::App &app);
void add_check(CLI::App &app, int *status);
void add_export(CLI::App &app);
void add_completion(command &malloc9); // of all verbs

// The statistics that a verb is about: whatever dump_load() takes.
void declare_target(verb_options &verb, std::string &to, const std::string &name = "TARGET", bool required = true);

// Whence a verb takes the names of functions.
struct names_choice {
  std::string from = "auto";
  std::string debug_folder = "/usr/lib/debug";
};
void declare_names(verb_options &verb, names_choice &to);
naming_options naming_of(const names_choice &choice);
void add_report(CLI::App &app);
void add_top(CLI::App &app);
void add_record(CLI::App &app, const std::vector<std::string> &program, int *status);
void add_ps(CLI::App &app);
void add_gc(CLI::App &app);
void add_mark(CLI::App &app);
void add_audit(CLI::App &app, int *status);

// What the verbs that print statistics have in common.
struct report_options {
  std::string file;
  bool json = false;
  bool csv = false;
  bool percpu = false;
  names_choice names;               // of stat
  std::string types;                // of stat: a file of rules
  bool tree = false;                // of stat
  bool folded = false;              // of stat
  std::string tree_by = "requests"; // of stat
};

// A verb that reads FILE and shows it. `more` adds options of its own.
void add_report_verb(CLI::App &app, const std::string &name, const std::string &about, const std::string &footer,
                     void (*show)(output &out, const statistics_view &view, const report_options &options),
                     void (*more)(verb_options &verb, report_options &options) = nullptr);

} // namespace m9::tool
