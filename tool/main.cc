// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9: the command. Every failure is one line on standard error.
#include <exception>
#include <new>

#include "tool/error.h"
#include "tool/options.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

int fail(const std::string &text, int status) {
  complain(text);
  return status;
}

int run_command(const std::vector<std::string> &arguments) {
  const command_line line = command_line_split(arguments);
  int status = exit_good;
  command malloc9("Who allocates, how much, and from where: exact statistics of programs under libmalloc9.so.",
                  "malloc9 " M9_VERSION);
  CLI::App &app = malloc9.app();
  add_run(app, line.program, &status);
  add_stat(app);
  add_zones(app);
  add_ps(app);
  add_gc(app);
  add_sites(app);
  add_leaks(app, &status);
  add_diff(app);
  add_info(app);
  add_merge(app);
  add_check(app, &status);
  add_export(app);
  add_completion(malloc9);
  add_report(app);
  add_top(app);
  add_record(app, line.program, &status);
  add_mark(app);
  add_audit(app, &status);
  const int use = malloc9.run(line.ours);
  return use != exit_good ? use : status;
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
