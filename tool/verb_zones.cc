// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 zones: what the zones hold, as `vmstat -z` says it. REQ is counted from the types' requests.
#include "tool/json.h"
#include "tool/model.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

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

void add_zone(json_writer &json, const model &m, const model_zone &zone, uint64_t req,
              const std::vector<counts> &by_cpu) {
  json.begin_object();
  json.member("item", zone_name(zone.size));
  json.member("size", zone.size);
  json.member("limit", zone.limit);
  json.member("used", zone.used);
  json.member("free", zone.free);
  json.member("req", req);
  json.member("fail", zone.fail);
  json.member("sleep", zone.sleep);
  json.member("slabs", zone.slabs);
  json.key("percpu").begin_array();
  for (size_t p = 0; p < m.cpus.size(); p++)
    if (by_cpu[p].any()) {
      json.begin_object();
      json.member("cpu", m.cpus[p]);
      json.member("req", by_cpu[p].numallocs);
      json.member("freed", by_cpu[p].numfrees);
      json.end_object();
    }
  json.end_array();
  json.end_object();
}

void print_json(output &out, const model &m) {
  const auto by_cpu = zones_by_cpu(m);
  const auto req = requests(m);
  json_writer json(out);
  json.begin_object();
  add_head(json, m);
  json.key("zones").begin_array();
  for (size_t z = 0; z < m.zones.size(); z++)
    add_zone(json, m, m.zones[z], req[z], by_cpu[z]);
  json.end_array();
  json.end_object();
  json.finish();
}

void show_zones(output &out, const statistics_view &view, const report_options &options) {
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
      show_zones);
}

} // namespace m9::tool
