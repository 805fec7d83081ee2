// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 check: holds statistics to a budget, or to what they were before. Status 1 if a limit is broken.
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "tool/check_report.h"
#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/judge.h"
#include "tool/options.h"
#include "tool/output_file.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct check_options {
  std::string target, budget, baseline, junit;
  std::string growth = "0%";
  uint64_t growth_bytes = 0;
  bool bless = false, json = false, github = false;
  names_choice names;
};

double percent_of(const std::string &text) {
  double number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  if (failed != std::errc() || !(number >= 0 && number <= 1e6) || (rest != "%" && !rest.empty()))
    throw error(fmt::format("--max-growth {}: wants a percentage, such as 5%", printable(text)));
  return number;
}

void bless(const check_options &options, const model &m, naming &names) {
  const bool is_new = !std::filesystem::exists(options.budget);
  const std::string text = is_new ? budget_new(m, names) : budget_blessed(m, names, budget_load(options.budget));
  write_file(options.budget, text);
  complain(fmt::format("{}: {}", printable(options.budget), is_new ? "written" : "holds today's figures now"));
}

std::vector<verdict> judge(const check_options &options, const model &m, naming &names) {
  std::vector<verdict> verdicts;
  if (!options.budget.empty())
    verdicts = judge_budget(m, names, budget_load(options.budget));
  if (!options.baseline.empty()) {
    const model old = model_of(dump_load(options.baseline).view);
    naming old_names(old, naming_of(options.names));
    const auto growth =
        judge_growth(m, names, old, old_names, options.baseline, {percent_of(options.growth), options.growth_bytes});
    verdicts.insert(verdicts.end(), growth.begin(), growth.end());
  }
  return verdicts;
}

int check(const check_options &options) {
  if (options.budget.empty() && options.baseline.empty())
    throw error("check: against what? (--budget FILE, --baseline OLD)");
  if (options.bless && options.budget.empty())
    throw error("check: --bless writes into the file of --budget, which is missing");
  percent_of(options.growth);
  const model m = model_of(dump_load(options.target).view);
  naming names(m, naming_of(options.names));
  if (options.bless) {
    bless(options, m, names);
    return exit_good;
  }
  const std::vector<verdict> verdicts = judge(options, m, names);
  if (!options.junit.empty()) {
    output_file file(options.junit);
    print_junit(file.out(), m, verdicts);
    file.finish();
  }
  output out = standard_output();
  if (options.json)
    print_verdicts_json(out, m, verdicts);
  else
    print_verdicts(out, verdicts);
  if (options.github)
    print_annotations(out, verdicts);
  out.finish();
  for (const verdict &v : verdicts)
    if (!v.kept())
      return exit_failed;
  return exit_good;
}

} // namespace

void add_check(CLI::App &app, int *status) {
  verb_options verb = add_verb(
      app, "check", "Hold statistics to a budget, and fail if they break it",
      "The budget is TOML: [[budget]] tables with type, function, file or module (a glob), and limits for live and\n"
      "peak (bytes), allocations, rate (per second) and leaks (items live at exit): NUMBER, { min, max } or\n"
      "{ exactly }. Exit status: 0 kept, 1 broken, 2 bad use. Where the budget does not exist, --bless makes a "
      "first.\n\n"
      "Example:\n  malloc9 run --dump t.m9 -- ./server --selftest\n  malloc9 check t.m9 --budget budget.toml --bless\n"
      "  malloc9 check t.m9 --budget budget.toml --junit memory.xml");
  auto options = std::make_shared<check_options>();
  declare_target(verb, options->target);
  verb.text("--budget", options->budget, "The limits", "FILE");
  verb.text("--baseline", options->baseline, "Older statistics: functions may not hold more than they did", "OLD");
  verb.text("--max-growth", options->growth, "How much more than in the baseline is good [0%]", "PERCENT");
  verb.number("--min-growth", options->growth_bytes, "Growth of live bytes up to this does not matter [0]", "BYTES");
  verb.flag("--bless", options->bless, "Write today's figures into the budget as its limits");
  verb.flag("--json", options->json, "Print JSON, with all limits");
  verb.text("--junit", options->junit, "Also write JUnit's XML", "FILE");
  verb.flag("--github", options->github, "Also print annotations for a GitHub workflow");
  declare_names(verb, options->names);
  verb.action([options, status] { *status = check(*options); });
}

} // namespace m9::tool
