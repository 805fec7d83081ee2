// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 sites and leaks: who allocates, put together by type, function, source file or module; and who still held
// memory at the end.
#include <algorithm>
#include <memory>

#include "tool/budget.h"
#include "tool/columns.h"
#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/groups.h"
#include "tool/json.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct sites_options {
  std::string target, by, sort = "live";
  uint64_t top = UINT64_MAX;
  bool json = false, fail = false;
  std::vector<std::string> ignored;
  names_choice names;
};

void add_group(json_writer &json, const model &m, const group &g) {
  json.begin_object();
  json.member("name", g.name);
  json.member("inuse", g.sum.inuse);
  json.member("memuse", g.sum.memuse);
  json.member("highuse", g.sum.highuse);
  json.member("highuse_exact", g.sum.highuse_exact);
  json.member("numallocs", g.sum.numallocs);
  json.member("numfrees", g.sum.numfrees);
  json.member("memalloced", g.sum.memalloced);
  json.member("rate", static_cast<double>(g.sum.numallocs) / seconds_of(m));
  json.member("types", g.types.size());
  json.end_object();
}

void print_groups_json(output &out, const model &m, const std::vector<group> &groups, const char *name,
                       const figures &total) {
  json_writer json(out);
  json.begin_object();
  add_head(json, m);
  json.member("seconds", seconds_of(m));
  json.member("inuse", total.inuse);
  json.member("memuse", total.memuse);
  json.key(name).begin_array();
  for (const group &g : groups)
    add_group(json, m, g);
  json.end_array();
  json.end_object();
  json.finish();
}

std::string title_of(const std::string &by) { return static_cast<char>(by[0] - 'a' + 'A') + by.substr(1); }

void shorten(std::vector<group> &groups, uint64_t top) {
  if (groups.size() > top)
    groups.resize(top);
}

// Names, and afterwards what kept them from being found.
struct named_groups {
  model m;
  std::vector<group> groups;
  std::vector<std::string> problems;
};

named_groups load_groups(const sites_options &options) {
  named_groups found{model_of(dump_load(options.target).view), {}, {}};
  const group_by by = group_by_of(options.by);
  naming names(found.m, naming_for(naming_of(options.names), by));
  found.groups = groups_of(found.m, names, by);
  found.problems = names.problems();
  return found;
}

void tell(const std::vector<std::string> &problems) {
  for (const std::string &problem : problems)
    complain("note: " + problem);
}

void show_sites(const sites_options &options) {
  named_groups found = load_groups(options);
  std::vector<group> &groups = found.groups;
  // A rate is a number of allocations in the same time for all.
  groups_sort(groups, options.sort == "live"   ? group_order::live
                      : options.sort == "peak" ? group_order::peak
                                               : group_order::allocs);
  shorten(groups, options.top);
  output out = standard_output();
  if (options.json) {
    print_groups_json(out, found.m, groups, "sites", total_figures(found.m));
  } else {
    columns table({title_of(options.by), "InUse", "MemUse", "HighUse", "Requests", "Rate/s"});
    for (const group &g : groups)
      table.add({g.name, std::to_string(g.sum.inuse), kibibytes(g.sum.memuse),
                 (g.sum.highuse_exact ? "" : ">=") + kibibytes(g.sum.highuse), std::to_string(g.sum.numallocs),
                 fmt::format("{:.1f}", static_cast<double>(g.sum.numallocs) / seconds_of(found.m))});
    table.print(out);
  }
  out.finish();
  tell(found.problems);
}

int show_leaks(const sites_options &options) {
  named_groups found = load_groups(options);
  std::vector<group> &groups = found.groups;
  std::erase_if(groups, [&](const group &g) {
    return g.sum.inuse == 0 || std::any_of(options.ignored.begin(), options.ignored.end(),
                                           [&](const std::string &glob) { return glob_matches(glob, g.name); });
  });
  groups_sort(groups, group_order::live);
  figures total;
  for (const group &g : groups)
    total += g.sum;
  const size_t all = groups.size();
  shorten(groups, options.top);
  output out = standard_output();
  if (options.json) {
    print_groups_json(out, found.m, groups, "leaks", total);
  } else {
    columns table({title_of(options.by), "Items", "Bytes", "Requests"});
    for (const group &g : groups)
      table.add({g.name, std::to_string(g.sum.inuse), std::to_string(g.sum.memuse), std::to_string(g.sum.numallocs)});
    if (all != 0)
      table.print(out);
    const std::string line =
        fmt::format("{} items of {} bytes live, of {} {}s", total.inuse, total.memuse, all, options.by);
    out.print("{}\n", all != 0 && options.fail ? in_red(line) : line);
  }
  out.finish();
  tell(found.problems);
  return options.fail && all != 0 ? exit_failed : exit_good;
}

void declare_common(verb_options &verb, sites_options &options) {
  declare_target(verb, options.target);
  verb.choice("--by", options.by, {"type", "function", "file", "module"},
              "What belongs together; files are the source's [" + options.by + "]");
  verb.number("--top", options.top, "Only the first N");
  verb.flag("--json", options.json, "Print JSON");
}

} // namespace

void add_sites(CLI::App &app) {
  verb_options verb = add_verb(app, "sites", "Print who allocates, by type, function, source file or module",
                               "HighUse with >= is a lower bound: of several types together, the peak is not known.\n\n"
                               "Example:\n  malloc9 sites redis.m9 --by function --sort allocs --top 10");
  auto options = std::make_shared<sites_options>();
  options->by = "type";
  declare_common(verb, *options);
  verb.choice("--sort", options->sort, {"live", "allocs", "peak", "rate"},
              "The order: bytes that are live, allocations, highest use, allocations per second [live]");
  declare_names(verb, options->names);
  verb.action([options] { show_sites(*options); });
}

void add_leaks(CLI::App &app, int *status) {
  verb_options verb = add_verb(
      app, "leaks", "Print who still held memory at the end",
      "Whatever was live when the statistics were written counts, wanted or not; --ignore leaves names out.\n\n"
      "Example:\n  malloc9 leaks t.m9 --fail --ignore 'libc.so.6!*'");
  auto options = std::make_shared<sites_options>();
  options->by = "function";
  declare_common(verb, *options);
  verb.texts("--ignore", options->ignored, "Leave out what this glob matches (may be repeated)", "GLOB");
  verb.flag("--fail", options->fail, "Exit status 1 if anything is live that is not ignored");
  declare_names(verb, options->names);
  verb.action([options, status] { *status = show_leaks(*options); });
}

} // namespace m9::tool
