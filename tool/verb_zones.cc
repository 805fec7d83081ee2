// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 zones: what the zones hold, as `vmstat -z` says it. REQ is counted from the types' requests.
#include <memory>

#include <nlohmann/json.hpp>

#include "tool/dump_file.h"
#include "tool/model.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

using nlohmann::ordered_json;

std::string cpu_text(int32_t cpu) { return cpu >= 0 ? std::to_string(cpu) : "none"; }

counts total_of(const std::vector<counts> &by_cpu) {
  counts total;
  for (const counts &c : by_cpu)
    total += c;
  return total;
}

void print_zones(output &out, const model &m) {
  out.print("{:<14} {:>6} {:>12} {:>9} {:>9} {:>12} {:>6} {:>6}\n", "ITEM", "SIZE", "LIMIT", "USED", "FREE", "REQ",
            "FAIL", "SLEEP");
  const auto by_cpu = zones_by_cpu(m);
  for (size_t z = 0; z < m.zones.size(); z++) {
    const model_zone &zone = m.zones[z];
    out.print("{:<14} {:>6} {:>12} {:>9} {:>9} {:>12} {:>6} {:>6}\n", zone_name(zone.size) + ":", zone.size, zone.limit,
              zone.used, zone.free, total_of(by_cpu[z]).numallocs, zone.fail, zone.sleep);
  }
}

void print_zones_by_cpu(output &out, const model &m) {
  out.print("{:<14} {:>6} {:>5} {:>12} {:>12}\n", "ITEM", "SIZE", "CPU", "REQ", "FREED");
  const auto by_cpu = zones_by_cpu(m);
  for (size_t z = 0; z < m.zones.size(); z++)
    for (size_t p = 0; p < m.cpus.size(); p++)
      if (by_cpu[z][p].any())
        out.print("{:<14} {:>6} {:>5} {:>12} {:>12}\n", zone_name(m.zones[z].size) + ":", m.zones[z].size,
                  cpu_text(m.cpus[p]), by_cpu[z][p].numallocs, by_cpu[z][p].numfrees);
}

void print_csv(output &out, const model &m, bool percpu) {
  out.put(percpu ? "item,size,cpu,req,freed\n" : "item,size,limit,used,free,req,fail,sleep\n");
  const auto by_cpu = zones_by_cpu(m);
  for (size_t z = 0; z < m.zones.size(); z++) {
    const model_zone &zone = m.zones[z];
    if (!percpu)
      out.print("{},{},{},{},{},{},{},{}\n", zone_name(zone.size), zone.size, zone.limit, zone.used, zone.free,
                total_of(by_cpu[z]).numallocs, zone.fail, zone.sleep);
    for (size_t p = 0; percpu && p < m.cpus.size(); p++)
      if (by_cpu[z][p].any())
        out.print("{},{},{},{},{}\n", zone_name(zone.size), zone.size, m.cpus[p], by_cpu[z][p].numallocs,
                  by_cpu[z][p].numfrees);
  }
}

void print_json(output &out, const model &m) {
  const auto by_cpu = zones_by_cpu(m);
  ordered_json json = {{"program", m.program}, {"pid", m.pid}, {"mode", view_mode_name(m.mode)}};
  json["zones"] = ordered_json::array();
  for (size_t z = 0; z < m.zones.size(); z++) {
    const model_zone &zone = m.zones[z];
    ordered_json percpu = ordered_json::array();
    for (size_t p = 0; p < m.cpus.size(); p++)
      if (by_cpu[z][p].any())
        percpu.push_back({{"cpu", m.cpus[p]}, {"req", by_cpu[z][p].numallocs}, {"freed", by_cpu[z][p].numfrees}});
    json["zones"].push_back({{"item", zone_name(zone.size)},
                             {"size", zone.size},
                             {"limit", zone.limit},
                             {"used", zone.used},
                             {"free", zone.free},
                             {"req", total_of(by_cpu[z]).numallocs},
                             {"fail", zone.fail},
                             {"sleep", zone.sleep},
                             {"slabs", zone.slabs},
                             {"percpu", std::move(percpu)}});
  }
  out.print("{}\n", json.dump(1, ' ', false, ordered_json::error_handler_t::replace));
}

void zones(const report_options &options) {
  const dump_file dump = dump_load(options.file);
  const model m = model_of(dump.view);
  output out = standard_output();
  if (options.json)
    print_json(out, m);
  else if (options.csv)
    print_csv(out, m, options.percpu);
  else if (options.percpu)
    print_zones_by_cpu(out, m);
  else
    print_zones(out, m);
  out.finish();
}

} // namespace

void add_zones(CLI::App &app) {
  auto *verb = app.add_subcommand("zones", "Print what the zones of items hold, as vmstat -z does");
  auto options = std::make_shared<report_options>();
  add_report_options(*verb, *options);
  verb->footer(
      "One line per size of item: how many fit (LIMIT, 0: no limit), how many the program holds (USED), how many\n"
      "are kept for reuse (FREE), requests (REQ), refused requests (FAIL) and waits for the zone's lock (SLEEP).\n"
      "Of malloc-large, USED counts blocks and FREE bytes.");
  verb->callback([options] { zones(*options); });
}

} // namespace m9::tool
