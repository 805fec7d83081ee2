// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 diff: what grew and shrank from A to B.
#include <memory>

#include "tool/columns.h"
#include "tool/compare.h"
#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/json.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct diff_options {
  std::string a, b, by = "type";
  uint64_t top = UINT64_MAX;
  bool json = false;
  names_choice names;
};

void add_figures(json_writer &json, const char *name, const figures &f) {
  json.key(name).begin_object();
  json.member("inuse", f.inuse);
  json.member("memuse", f.memuse);
  json.member("numallocs", f.numallocs);
  json.member("memalloced", f.memalloced);
  json.end_object();
}

void add_side(json_writer &json, const char *name, const model &m) {
  json.key(name).begin_object();
  add_head(json, m);
  json.member("seconds", seconds_of(m));
  json.end_object();
}

void print_json(output &out, const model &a, const model &b, const std::vector<change> &changes) {
  json_writer json(out);
  json.begin_object();
  add_side(json, "a", a);
  add_side(json, "b", b);
  json.key("changes").begin_array();
  for (const change &c : changes) {
    json.begin_object();
    json.member("name", c.name);
    json.member("matched", c.by_place ? "place" : "name");
    json.member("inuse", c.inuse());
    json.member("memuse", c.memuse());
    json.member("numallocs", c.numallocs());
    add_figures(json, "before", c.before);
    add_figures(json, "after", c.after);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  json.finish();
}

void print_table(output &out, const model &a, const model &b, const std::vector<change> &changes) {
  const figures before = total_figures(a), after = total_figures(b);
  const change all{"(all)", before, after, false};
  columns table({"Change", "InUse", "MemUse", "Requests", "MemUse before", "and after"});
  const auto add = [&](const change &c) {
    table.add({c.name, signed_count(c.inuse()), signed_kibibytes(c.memuse()), signed_count(c.numallocs()),
               kibibytes(c.before.memuse), kibibytes(c.after.memuse)});
  };
  add(all);
  for (const change &c : changes)
    add(c);
  table.print(out);
}

void show_changes(const diff_options &options) {
  const model a = model_of(dump_load(options.a).view), b = model_of(dump_load(options.b).view);
  const group_by by = group_by_of(options.by);
  naming a_names(a, naming_for(naming_of(options.names), by)), b_names(b, naming_for(naming_of(options.names), by));
  std::vector<change> changes = compare(a, a_names, b, b_names, by);
  if (changes.size() > options.top)
    changes.resize(options.top);
  output out = standard_output();
  if (options.json)
    print_json(out, a, b, changes);
  else
    print_table(out, a, b, changes);
  out.finish();
  for (const naming *names : {&a_names, &b_names})
    for (const std::string &problem : names->problems())
      complain("note: " + problem);
}

} // namespace

void add_diff(CLI::App &app) {
  verb_options verb = add_verb(
      app, "diff", "Print what grew and shrank between two statistics",
      "Types are the same if the build-id of their module and their offset in it are; where the builds differ, all\n"
      "of a function in the same source file are put together.\n\n"
      "Example:\n  malloc9 diff before.m9 after.m9 --top 20");
  auto options = std::make_shared<diff_options>();
  declare_target(verb, options->a, "A");
  declare_target(verb, options->b, "B");
  verb.choice("--by", options->by, {"type", "function", "file", "module"},
              "What belongs together; files are the source's [type]");
  verb.number("--top", options->top, "Only the N that changed most");
  verb.flag("--json", options->json, "Print JSON");
  declare_names(verb, options->names);
  verb.action([options] { show_changes(*options); });
}

} // namespace m9::tool
