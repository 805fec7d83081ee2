// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 zones: what the zones hold, as `vmstat -z` says it. REQ is counted from the types' requests.
#include <nlohmann/json.hpp>

#include "tool/model.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

using nlohmann::ordered_json;

// By zone.
std::vector<uint64_t> requests(const model &m) {
  std::vector<uint64_t> requests;
  const auto by_cpu = zones_by_cpu(m);
  const auto inherited = zones_inherited(m);
  for (size_t z = 0; z < m.zones.size(); z++)
    requests.push_back(operations(m, total_of(by_cpu[z]), inherited[z]).numallocs);
  return requests;
}

void print_zones(output &out, const model &m) {
  out.print("{:<14} {:>6} {:>12} {:>9} {:>9} {:>12} {:>6} {:>6}\n", "ITEM", "SIZE", "LIMIT", "USED", "FREE", "REQ",
            "FAIL", "SLEEP");
  const auto req = requests(m);
  for (size_t z = 0; z < m.zones.size(); z++) {
    const model_zone &zone = m.zones[z];
    out.print("{:<14} {:>6} {:>12} {:>9} {:>9} {:>12} {:>6} {:>6}\n", zone_name(zone.size) + ":", zone.size, zone.limit,
              zone.used, zone.free, req[z], zone.fail, zone.sleep);
  }
}

void print_zones_by_cpu(output &out, const model &m) {
  out.print("{:<14} {:>6} {:>5} {:>12} {:>12}\n", "ITEM", "SIZE", "CPU", "REQ", "FREED");
  const auto by_cpu = zones_by_cpu(m);
  for (size_t z = 0; z < m.zones.size(); z++)
    for (size_t p = 0; p < m.cpus.size(); p++)
      if (by_cpu[z][p].any())
        out.print("{:<14} {:>6} {:>5} {:>12} {:>12}\n", zone_name(m.zones[z].size) + ":", m.zones[z].size,
                  cpu_name(m.cpus[p]), by_cpu[z][p].numallocs, by_cpu[z][p].numfrees);
}

void print_csv(output &out, const model &m, bool percpu) {
  out.put(percpu ? "item,size,cpu,req,freed\n" : "item,size,limit,used,free,req,fail,sleep\n");
  const auto by_cpu = zones_by_cpu(m);
  const auto req = requests(m);
  for (size_t z = 0; z < m.zones.size(); z++) {
    const model_zone &zone = m.zones[z];
    if (!percpu)
      out.print("{},{},{},{},{},{},{},{}\n", zone_name(zone.size), zone.size, zone.limit, zone.used, zone.free, req[z],
                zone.fail, zone.sleep);
    for (size_t p = 0; percpu && p < m.cpus.size(); p++)
      if (by_cpu[z][p].any())
        out.print("{},{},{},{},{}\n", zone_name(zone.size), zone.size, m.cpus[p], by_cpu[z][p].numallocs,
                  by_cpu[z][p].numfrees);
  }
}

void print_json(output &out, const model &m) {
  const auto by_cpu = zones_by_cpu(m);
  const auto req = requests(m);
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
                             {"req", req[z]},
                             {"fail", zone.fail},
                             {"sleep", zone.sleep},
                             {"slabs", zone.slabs},
                             {"percpu", std::move(percpu)}});
  }
  out.print("{}\n", json.dump(1, ' ', false, ordered_json::error_handler_t::replace));
}

void show(output &out, const statistics_view &view, const report_options &options) {
  const model m = model_of(view);
  if (options.json)
    print_json(out, m);
  else if (options.csv)
    print_csv(out, m, options.percpu);
  else if (options.percpu)
    print_zones_by_cpu(out, m);
  else
    print_zones(out, m);
}

} // namespace

void add_zones(CLI::App &app) {
  add_report_verb(
      app, "zones", "Print what the zones of items hold, as vmstat -z does",
      "One line per size of item: how many fit (LIMIT, 0: no limit), how many the program holds (USED), how many\n"
      "are kept for reuse (FREE), requests (REQ), refused requests (FAIL) and waits for the zone's lock (SLEEP).\n"
      "Of malloc-large, USED counts blocks and FREE bytes.",
      show);
}

} // namespace m9::tool
