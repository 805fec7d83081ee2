// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 stat: who holds the memory, as `vmstat -m` says it. The plain table is core/table.h's, as the library prints
// it; JSON goes out type by type, since there may be many. JSON keeps each type's recorded name, which tells types of
// different runs apart, beside the names for people; the others show one name.
#include <algorithm>
#include <numeric>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/json.h"
#include "tool/model.h"
#include "tool/naming.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/table_output.h"
#include "tool/tree.h"
#include "tool/type_rules.h"
#include "tool/verb.h"
#include "tool/writer.h"

namespace m9::tool {
namespace {

void add_counts(json_writer &json, const counts &c) {
  json.member("numallocs", c.numallocs);
  json.member("numfrees", c.numfrees);
  json.member("memalloced", c.memalloced);
  json.member("memfreed", c.memfreed);
}

void add_site(json_writer &json, const std::string &function, const std::string &file, uint32_t line) {
  if (!function.empty())
    json.member("function", function);
  if (!file.empty())
    json.member("file", file);
  if (!file.empty() && line != 0)
    json.member("line", line);
}

void add_names(json_writer &json, const model_type &type, naming &names) {
  json.member("type", type.name);
  const named_site site = names.site_of(type);
  add_site(json, site.function, site.file, site.line);
  if (site.inlined.empty())
    return;
  json.key("inlined").begin_array();
  for (const source_frame &frame : site.inlined) {
    json.begin_object();
    add_site(json, frame.function, frame.file, frame.line);
    json.end_object();
  }
  json.end_array();
}

void add_chain(json_writer &json, const model &m, const model_type &type) {
  if (type.chain == format::no_chain)
    return;
  json.key("chain").begin_array();
  for (uint32_t frame = type.chain; frame != format::no_chain; frame = m.frames[frame].caller)
    json.value(frame_place(m, m.frames[frame]));
  json.end_array();
}

void add_cpus(json_writer &json, const model &m, const model_type &type) {
  json.key("percpu").begin_array();
  const std::vector<counts> by_cpu = type_by_cpu(m, type);
  for (size_t p = 0; p < by_cpu.size(); p++)
    if (by_cpu[p].any()) {
      json.begin_object();
      json.member("cpu", m.cpus[p]);
      add_counts(json, by_cpu[p]);
      json.end_object();
    }
  json.end_array();
}

void add_type(json_writer &json, const model &m, const model_type &type, naming &names) {
  const counts total = type_total(type), inherited = type_inherited(type);
  json.begin_object();
  add_names(json, type, names);
  add_counts(json, operations(m, total, inherited));
  json.member("inuse", total.inuse());
  json.member("memuse", total.memuse());
  json.member("highuse", type_highuse(type));
  json.member("highuse_exact", type_highuse_is_exact(type));
  json.key("sizes").begin_array();
  for (const uint64_t size : type_sizes(m, type))
    json.value(size);
  json.end_array();
  add_chain(json, m, type);
  add_cpus(json, m, type);
  if (m.inherited != inheritance::none) {
    json.key("inherited").begin_object();
    add_counts(json, inherited);
    json.end_object();
  }
  json.end_object();
}

std::string sizes_text(const model &m, const model_type &type, const char *between) {
  std::string text;
  for (const uint64_t size : type_sizes(m, type))
    text.append(text.empty() ? "" : between).append(size != 0 ? std::to_string(size) : "large");
  return text;
}

void print_csv(output &out, const model &m) {
  out.put("type,numallocs,numfrees,memalloced,memfreed,inuse,memuse,highuse,sizes\n");
  for (const uint32_t i : types_sorted(m)) {
    const model_type &type = m.types[i];
    const counts total = type_total(type), c = operations(m, total, type_inherited(type));
    out.print("{},{},{},{},{},{},{},{},{}\n", csv_field(type.name), c.numallocs, c.numfrees, c.memalloced, c.memfreed,
              total.inuse(), total.memuse(), type_highuse(type), sizes_text(m, type, " "));
  }
}

void print_csv_by_cpu(output &out, const model &m) {
  out.put("type,cpu,numallocs,numfrees,memalloced,memfreed\n");
  for (const uint32_t i : types_sorted(m)) {
    const std::vector<counts> by_cpu = type_by_cpu(m, m.types[i]);
    for (size_t p = 0; p < by_cpu.size(); p++)
      if (by_cpu[p].any())
        out.print("{},{},{},{},{},{}\n", csv_field(m.types[i].name), m.cpus[p], by_cpu[p].numallocs, by_cpu[p].numfrees,
                  by_cpu[p].memalloced, by_cpu[p].memfreed);
  }
}

void print_by_cpu(output &out, const model &m) {
  size_t width = 13;
  const std::vector<uint32_t> order = types_sorted(m);
  for (const uint32_t i : order)
    width = std::max(width, std::min<size_t>(printable(m.types[i].name).size(), 48));
  out.print("{:<{}} {:>5} {:>12} {:>12} {:>15} {:>15}\n", "Type", width, "CPU", "Allocs", "Frees", "BytesAlloced",
            "BytesFreed");
  for (const uint32_t i : order) {
    const auto line = [&](const std::string &cpu, const counts &c) {
      if (c.any())
        out.print("{:<{}} {:>5} {:>12} {:>12} {:>15} {:>15}\n", printable(m.types[i].name), width, cpu, c.numallocs,
                  c.numfrees, c.memalloced, c.memfreed);
    };
    const std::vector<counts> by_cpu = type_by_cpu(m, m.types[i]);
    for (size_t p = 0; p < by_cpu.size(); p++)
      line(cpu_name(m.cpus[p]), by_cpu[p]);
    line("fork", type_inherited(m.types[i]));
  }
}

void print_plain(output &out, const model &m) {
  const std::string bytes = model_write(m);
  const dump_file renamed = dump_from_bytes("", reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
  print_table(out, renamed.view);
}

void show_tree(output &out, const model &m, naming &names, const report_options &options) {
  const call_tree tree(m, names, tree_weight_of(options.tree_by));
  if (options.folded)
    tree.print_folded(out);
  else
    tree.print(out, tree_least_share);
}

void show_types(output &out, const statistics_view &view, const report_options &options) {
  const bool plain = !options.json && !options.csv && !options.percpu && !options.tree && !options.folded;
  const naming_options how = naming_of(options.names);
  if (plain && how.source == name_source::dump && options.types.empty()) {
    print_table(out, view);
    return;
  }
  const model recorded = model_of(view);
  naming names(recorded, how);
  model m = recorded;
  if (!options.types.empty())
    type_rules_apply(m, names, options.types);
  const bool tree = options.tree || options.folded;
  for (size_t i = 0; !options.json && !tree && i < m.types.size(); i++)
    m.types[i].name = names.shown(m.types[i]);
  if (tree)
    show_tree(out, m, names, options);
  else if (options.json)
    print_stat_json(out, m, names);
  else if (options.csv && options.percpu)
    print_csv_by_cpu(out, m);
  else if (options.csv)
    print_csv(out, m);
  else if (options.percpu)
    print_by_cpu(out, m);
  else
    print_plain(out, m);
  out.finish();
  for (const std::string &problem : names.problems())
    complain("note: " + problem);
}

void more_options(verb_options &verb, report_options &options) {
  declare_names(verb, options.names);
  verb.text("--types", options.types, "Name types by the rules in this file, as MALLOC9_CONF=types: does");
  verb.flag("--folded", options.folded, "Print each chain of functions and a number: for flame graphs");
  verb.flag("--tree", options.tree, "Print who called whom (of programs that ran with stack:N)");
  for (const char *other : {"--json", "--csv", "--percpu"}) {
    verb.exclude("--folded", other);
    verb.exclude("--tree", other);
  }
  verb.exclude("--tree", "--folded");
  verb.choice("--by", options.tree_by, {"requests", "bytes", "inuse", "memuse"}, "What the two add up [requests]");
}

} // namespace

void print_stat_json(output &out, const model &m, naming &names) {
  json_writer json(out);
  json.begin_object();
  add_head(json, m);
  json.member("mode_reason", m.mode_reason);
  json.member("command", m.command);
  json.key("notes").begin_object();
  for (const model_note &note : m.notes)
    json.member(note.name, note.value);
  json.end_object();
  json.key("types").begin_array();
  for (const uint32_t i : types_sorted(m))
    add_type(json, m, m.types[i], names);
  json.end_array();
  json.end_object();
  json.finish();
}

void add_stat(CLI::App &app) {
  add_report_verb(
      app, "stat", "Print who holds the memory, as vmstat -m does",
      "One line per type of allocation: how many are in use, the bytes they hold, the most bytes they were seen\n"
      "to hold (>=: at least), how often one was requested, and the sizes of the items that were given.\n\n"
      "Example:\n  MALLOC9_CONF=dump:ls.m9 LD_PRELOAD=libmalloc9.so ls\n  malloc9 stat ls.m9",
      show_types, more_options);
}

} // namespace m9::tool
