// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 stat: who holds the memory, as `vmstat -m` says it. The plain table is core/table.h's, as the library prints
// it; JSON goes out type by type, since there may be many.
#include <algorithm>
#include <numeric>

#include <nlohmann/json.hpp>

#include "tool/error.h"
#include "tool/model.h"
#include "tool/output.h"
#include "tool/table_output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json &json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

ordered_json counts_json(const counts &c) {
  return {{"numallocs", c.numallocs}, {"numfrees", c.numfrees}, {"memalloced", c.memalloced}, {"memfreed", c.memfreed}};
}

ordered_json type_json(const model &m, const model_type &type) {
  const counts total = type_total(type), inherited = type_inherited(type);
  ordered_json json = {{"type", type.name}};
  json.update(counts_json(operations(m, total, inherited)));
  json["inuse"] = total.inuse();
  json["memuse"] = total.memuse();
  json["highuse"] = type_highuse(type);
  json["highuse_exact"] = type_highuse_is_exact(type);
  json["sizes"] = type_sizes(m, type);
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

void print_json(output &out, const model &m) {
  out.print(R"({{"program": {}, "pid": {}, "mode": "{}", "mode_reason": {}, "command": {}, "notes": {{)",
            dump(m.program), m.pid, view_mode_name(m.mode), dump(m.mode_reason), dump(m.command));
  for (size_t i = 0; i < m.notes.size(); i++)
    out.print("{}{}: {}", i != 0 ? ", " : "", dump(m.notes[i].name), m.notes[i].value);
  out.put(R"(}, "types": [)");
  const char *before = "\n";
  for (const uint32_t i : types_sorted(m)) {
    out.print("{}{}", before, dump(type_json(m, m.types[i])));
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

void show(output &out, const statistics_view &view, const report_options &options) {
  if (options.json)
    print_json(out, model_of(view));
  else if (options.csv && options.percpu)
    print_csv_by_cpu(out, model_of(view));
  else if (options.csv)
    print_csv(out, model_of(view));
  else if (options.percpu)
    print_by_cpu(out, model_of(view));
  else
    print_table(out, view);
}

} // namespace

void add_stat(CLI::App &app) {
  add_report_verb(
      app, "stat", "Print who holds the memory, as vmstat -m does",
      "One line per type of allocation: how many are in use, the bytes they hold, the most bytes they were seen\n"
      "to hold (>=: at least), how often one was requested, and the sizes of the items that were given.\n\n"
      "Example:\n  MALLOC9_CONF=dump:ls.m9 LD_PRELOAD=libmalloc9.so ls\n  malloc9 stat ls.m9",
      show);
}

} // namespace m9::tool
