// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9: the command. Every failure is one line on standard error.
#include <algorithm>
#include <exception>
#include <new>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tool/error.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

int fail(const std::string &text, int status) {
  complain(text);
  return status;
}

// CLI11 asks for help and version by exceptions too.
int answer(const CLI::App &app, const CLI::ParseError &e) {
  std::ostringstream text;
  std::ostringstream errors;
  if (app.exit(e, text, errors) == 0) {
    output out = standard_output();
    out.put(text.str());
    out.finish();
    return exit_good;
  }
  std::string what = e.what();
  std::replace(what.begin(), what.end(), '\n', ' ');
  return fail(what + " (malloc9 --help tells more)", exit_bad_use);
}

// CLI11 says of a wrong verb only that some verb is required.
void check_verb(CLI::App &app, const std::vector<std::string> &arguments) {
  if (arguments.empty())
    throw error("which verb? (malloc9 --help lists them)");
  const std::string &first = arguments[0];
  const auto verbs = app.get_subcommands([&](const CLI::App *verb) { return verb->get_name() == first; });
  if (verbs.empty() && app.get_option_no_throw(first) == nullptr)
    throw error(fmt::format("{}: no such verb (malloc9 --help lists them)", printable(first)));
}

int run_command(const std::vector<std::string> &arguments) {
  const command_line line = command_line_split(arguments);
  int status = exit_good;
  CLI::App app("Who allocates, how much, and from where: exact statistics of programs under libmalloc9.so.", "malloc9");
  app.set_version_flag("--version", "malloc9 " M9_VERSION);
  app.require_subcommand(1);
  app.footer("`malloc9 VERB --help` says more of each. Exit status: 0 good, 1 failed, 2 bad use or bad input.");
  add_run(app, line.program, &status);
  add_stat(app);
  add_zones(app);
  add_ps(app);
  add_gc(app);
  check_verb(app, line.ours);
  try {
    app.parse(std::vector<std::string>(line.ours.rbegin(), line.ours.rend())); // CLI11 wants them backwards
  } catch (const CLI::ParseError &e) {
    return answer(app, e);
  }
  return status;
}

} // namespace
} // namespace m9::tool

int main(int argc, char **argv) {
  using namespace m9::tool;
  try {
    return run_command({argv + 1, argv + argc});
  } catch (const error &e) {
    return fail(e.what(), e.status);
  } catch (const std::bad_alloc &) {
    return fail("out of memory", exit_failed);
  } catch (const std::exception &e) {
    return fail(e.what(), exit_failed);
  }
}
