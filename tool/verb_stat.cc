// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 stat: who holds the memory, as `vmstat -m` says it. The plain table is core/table.h's, as the library prints
// it; JSON goes out type by type, since there may be many. JSON keeps each type's recorded name, which tells types of
// different runs apart, beside the names for people; the others show one name.
#include <algorithm>
#include <numeric>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/model.h"
#include "tool/naming.h"
#include "tool/output.h"
#include "tool/table_output.h"
#include "tool/type_rules.h"
#include "tool/verb.h"
#include "tool/writer.h"

namespace m9::tool {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json &json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

ordered_json counts_json(const counts &c) {
  return {{"numallocs", c.numallocs}, {"numfrees", c.numfrees}, {"memalloced", c.memalloced}, {"memfreed", c.memfreed}};
}

void add_site(ordered_json &json, const std::string &function, const std::string &file, uint32_t line) {
  if (!function.empty())
    json["function"] = function;
  if (!file.empty())
    json["file"] = file;
  if (!file.empty() && line != 0)
    json["line"] = line;
}

ordered_json type_json(const model &m, const model_type &type, naming &names) {
  const counts total = type_total(type), inherited = type_inherited(type);
  ordered_json json = {{"type", type.name}};
  const named_site site = names.site_of(type);
  add_site(json, site.function, site.file, site.line);
  for (const source_frame &frame : site.inlined) {
    ordered_json &list = json["inlined"];
    list.push_back(ordered_json::object());
    add_site(list.back(), frame.function, frame.file, frame.line);
  }
  json.update(counts_json(operations(m, total, inherited)));
  json["inuse"] = total.inuse();
  json["memuse"] = total.memuse();
  json["highuse"] = type_highuse(type);
  json["highuse_exact"] = type_highuse_is_exact(type);
  json["sizes"] = type_sizes(m, type);
  for (uint32_t frame = type.chain; frame != format::no_chain; frame = m.frames[frame].caller)
    json["chain"].push_back(frame_place(m, m.frames[frame]));
  ordered_json percpu = ordered_json::array();
  const std::vector<counts> by_cpu = type_by_cpu(m, type);
  for (size_t p = 0; p < by_cpu.size(); p++)
    if (by_cpu[p].any()) {
      percpu.push_back({{"cpu", m.cpus[p]}});
      percpu.back().update(counts_json(by_cpu[p]));
    }
  json["percpu"] = std::move(percpu);
  if (m.inherited != inheritance::none)
    json["inherited"] = counts_json(inherited);
  return json;
}

void print_json(output &out, const model &m, naming &names) {
  out.print(R"({{"program": {}, "pid": {}, "mode": "{}", "mode_reason": {}, "command": {}, "notes": {{)",
            dump(m.program), m.pid, view_mode_name(m.mode), dump(m.mode_reason), dump(m.command));
  for (size_t i = 0; i < m.notes.size(); i++)
    out.print("{}{}: {}", i != 0 ? ", " : "", dump(m.notes[i].name), m.notes[i].value);
  out.put(R"(}, "types": [)");
  const char *before = "\n";
  for (const uint32_t i : types_sorted(m)) {
    out.print("{}{}", before, dump(type_json(m, m.types[i], names)));
    before = ",\n";
  }
  out.put("\n]}\n");
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
  const call_tree tree(m, names, options.weight);
  if (options.folded)
    tree.print_folded(out);
  else
    tree.print(out, tree_least_share);
}

void show(output &out, const statistics_view &view, const report_options &options) {
  const bool plain = !options.json && !options.csv && !options.percpu && !options.tree && !options.folded;
  if (plain && options.names.source == name_source::dump && options.types.empty()) {
    print_table(out, view);
    return;
  }
  const model recorded = model_of(view);
  naming names(recorded, options.names);
  model m = recorded;
  if (!options.types.empty())
    type_rules_apply(m, names, options.types);
  const bool tree = options.tree || options.folded;
  for (size_t i = 0; !options.json && !tree && i < m.types.size(); i++)
    m.types[i].name = names.shown(m.types[i]);
  if (tree)
    show_tree(out, m, names, options);
  else if (options.json)
    print_json(out, m, names);
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

void more_options(CLI::App &verb, report_options &options) {
  const std::map<std::string, name_source> sources{
      {"auto", name_source::automatic}, {"dump", name_source::dump}, {"debug", name_source::debug}};
  verb.add_option("--names", options.names.source,
                  "Whence the names of functions: auto (debug information where FILE has none), dump (FILE), debug")
      ->type_name("")
      ->transform(CLI::CheckedTransformer(sources).description(""));
  verb.add_option("--types", options.types, "Name types by the rules in this file, as MALLOC9_CONF=types: does")
      ->type_name("");
  auto *folded =
      verb.add_flag("--folded", options.folded, "Print each chain of functions and a number: for flame graphs");
  auto *tree = verb.add_flag("--tree", options.tree, "Print who called whom (of programs that ran with stack:N)");
  for (const char *other : {"--json", "--csv", "--percpu"}) {
    folded->excludes(verb.get_option(other));
    tree->excludes(verb.get_option(other));
  }
  tree->excludes(folded);
  const std::map<std::string, tree_weight> weights{{"requests", tree_weight::requests},
                                                   {"bytes", tree_weight::bytes},
                                                   {"inuse", tree_weight::inuse},
                                                   {"memuse", tree_weight::memuse}};
  verb.add_option("--by", options.weight, "What the two add up: requests (default), their bytes, inuse, memuse")
      ->type_name("")
      ->transform(CLI::CheckedTransformer(weights).description(""));
  verb.add_option("--debug-dir", options.names.debug_folder, "Where debug files are [/usr/lib/debug]")->type_name("");
}

} // namespace

void add_stat(CLI::App &app) {
  add_report_verb(
      app, "stat", "Print who holds the memory, as vmstat -m does",
      "One line per type of allocation: how many are in use, the bytes they hold, the most bytes they were seen\n"
      "to hold (>=: at least), how often one was requested, and the sizes of the items that were given.\n\n"
      "Example:\n  MALLOC9_CONF=dump:ls.m9 LD_PRELOAD=libmalloc9.so ls\n  malloc9 stat ls.m9",
      show, more_options);
}

} // namespace m9::tool
