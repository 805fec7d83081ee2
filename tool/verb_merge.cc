// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 merge: adds the statistics of many processes into one file, as `malloc9 run --children` does.
#include <memory>

#include "tool/dump_file.h"
#include "tool/json.h"
#include "tool/merge.h"
#include "tool/options.h"
#include "tool/output_file.h"
#include "tool/verb.h"
#include "tool/writer.h"

namespace m9::tool {
namespace {

struct merge_options {
  std::vector<std::string> targets;
  std::string output;
  bool json = false;
};

void merge(const merge_options &options) {
  merger merged;
  model_head first;
  for (const std::string &target : options.targets) {
    const model m = model_of(dump_load(target).view);
    if (merged.processes() == 0)
      first = m;
    first.start_ns = std::min(first.start_ns, m.start_ns);
    first.time_ns = std::max(first.time_ns, m.time_ns);
    merged.add(m);
  }
  model head;
  static_cast<model_head &>(head) = first;
  const model sum = merged.result(head);
  write_file(options.output, model_write(sum));
  if (options.json)
    say_written(sum, options.output, "processes", merged.processes());
}

} // namespace

void add_merge(CLI::App &app) {
  verb_options verb = add_verb(
      app, "merge", "Add the statistics of many processes into one file",
      "The sums go under the program, pid and mode of the first, and from the earliest start to the latest end.\n"
      "Types are the same if their names, the build-ids of their modules and their offsets are.\n\n"
      "Example:\n  malloc9 merge worker.*.m9 -o workers.m9");
  auto options = std::make_shared<merge_options>();
  verb.operands("TARGET", options->targets, "Statistics that programs wrote");
  verb.text("-o,--output", options->output, "Where the sums go", "FILE", true);
  verb.flag("--json", options->json, "Print as JSON what was written");
  verb.action([options] { merge(*options); });
}

} // namespace m9::tool
