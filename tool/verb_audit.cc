// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 audit: the books, as far as somebody who only reads can check them. What the library's own audit
// (MALLOC9_CONF=audit:exit) sees besides, the slabs and the tag of each item, is in no file.
#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/json.h"
#include "tool/model.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct audit_options {
  std::string target;
  bool json = false;
};

struct books {
  std::vector<std::string> failures;
  uint64_t checks = 0;

  void check(bool good, const auto &what) {
    checks++;
    if (!good)
      failures.push_back(what());
  }
};

uint64_t items_live(const counts &c) { return c.numallocs - c.numfrees; }

void check_cells(books &b, const model &m) {
  for (const model_type &type : m.types)
    for (const model_cell &cell : type.cells) {
      const counts sum = total_of(cell.by_cpu), &before = cell.inherited;
      const auto where = [&] {
        return fmt::format("{}, {}", printable(type.name), zone_name(m.zones[cell.zone].size));
      };
      b.check(sum.numfrees <= sum.numallocs,
              [&] { return fmt::format("{}: {} frees of {} allocations", where(), sum.numfrees, sum.numallocs); });
      b.check(sum.memfreed <= sum.memalloced,
              [&] { return fmt::format("{}: {} bytes freed of {}", where(), sum.memfreed, sum.memalloced); });
      b.check(before.numallocs <= sum.numallocs && before.numfrees <= sum.numfrees, [&] {
        return fmt::format("{}: {} allocations and {} frees were inherited, but there are {} and {}", where(),
                           before.numallocs, before.numfrees, sum.numallocs, sum.numfrees);
      });
    }
}

// Of live files the zones' USED is what the cells say, so that only the room is to be checked: slabs have all the same
// number of items. A dump has its own; a child's may be off by what was in flight at the fork.
void check_zones(books &b, const model &m, bool live) {
  std::vector<uint64_t> by_cells(m.zones.size());
  for (const model_type &type : m.types)
    for (const model_cell &cell : type.cells)
      by_cells[cell.zone] += items_live(total_of(cell.by_cpu));
  const bool exact = !live && m.inherited == inheritance::none;
  for (size_t z = 0; z < m.zones.size(); z++) {
    const model_zone &zone = m.zones[z];
    if (zone.size == 0)
      continue;
    b.check(!exact || by_cells[z] == zone.used, [&] {
      return fmt::format("{}: {} items are live by the types, {} by the zone", zone_name(zone.size), by_cells[z],
                         zone.used);
    });
    const uint64_t room = zone.used + zone.free;
    b.check(zone.slabs == 0 ? room == 0 : room % zone.slabs == 0, [&] {
      return fmt::format("{}: {} items live and {} free are no whole number for each of {} slabs", zone_name(zone.size),
                         zone.used, zone.free, zone.slabs);
    });
    b.check(zone.limit == 0 || room <= zone.limit,
            [&] { return fmt::format("{}: {} items where {} have room", zone_name(zone.size), room, zone.limit); });
  }
}

void check_peak(books &b, const model &m, const statistics_view &view, uint64_t live_bytes) {
  if (!view_has_peak(view) || m.inherited == inheritance::of_many)
    return;
  const format::peak_entry peak = view_peak(view);
  uint64_t pools = 0; // memory that programs hand out themselves counts for its types only
  for (const model_type &type : m.types)
    pools += (type.flags & format::type_is_declared) != 0 ? type_total(type).memuse() : 0;
  b.check(live_bytes <= peak.most + pools,
          [&] { return fmt::format("{} bytes are live, more than the peak of {}", live_bytes, peak.most); });
  b.check(peak.slack <= peak.most,
          [&] { return fmt::format("the peak of {} has a slack of {}", peak.most, peak.slack); });
}

void audit_text(output &out, const books &b, const model &m, const statistics_view &view, uint64_t items,
                uint64_t bytes) {
  for (const std::string &failure : b.failures)
    out.print("FAILED: {}\n", failure);
  out.print("audit: {}: {} checks of {} types in {} zones on {} CPUs, {} items and {} bytes live\n",
            b.failures.empty() ? "ok" : "FAILED", b.checks, m.types.size(), m.zones.size(), m.cpus.size(), items,
            bytes);
  if (view_has_peak(view)) {
    const format::peak_entry peak = view_peak(view);
    out.print("peak of live bytes: at least {}, at most {}\n", peak.most - std::min(peak.slack, peak.most), peak.most);
  }
}

void audit_json(output &out, const books &b, const model &m, const statistics_view &view, uint64_t items,
                uint64_t bytes) {
  json_writer json(out);
  json.begin_object();
  add_head(json, m);
  json.member("ok", b.failures.empty());
  json.member("checks", b.checks);
  json.member("items", items);
  json.member("bytes", bytes);
  const format::peak_entry peak = view_peak(view);
  json.member("peak_most", peak.most);
  json.member("peak_least", peak.most - std::min(peak.slack, peak.most));
  json.key("failures").begin_array();
  for (const std::string &failure : b.failures)
    json.value(failure);
  json.end_array();
  json.end_object();
  json.finish();
}

int audit(const audit_options &options) {
  const dump_file dump = dump_load(options.target);
  const model m = model_of(dump.view);
  counts all;
  for (const model_type &type : m.types)
    all += type_total(type);
  books b;
  check_cells(b, m);
  check_zones(b, m, view_is_live(dump.view));
  check_peak(b, m, dump.view, all.memuse());
  output out = standard_output();
  (options.json ? audit_json : audit_text)(out, b, m, dump.view, all.inuse(), all.memuse());
  out.finish();
  return b.failures.empty() ? exit_good : exit_failed;
}

} // namespace

void add_audit(CLI::App &app, int *status) {
  verb_options verb = add_verb(
      app, "audit", "Check the books: counters against each other, zones and the peak",
      "For each type and size: frees <= allocations, bytes freed <= bytes allocated, and no more inherited than\n"
      "there is. For each size: live items by the types == by the zone (in a dump; of a live file they are the\n"
      "same), and items that are live or free fill the slabs. For all: live bytes <= the peak.\n"
      "Exit status 1 if anything does not fit.\n\nExample:\n  malloc9 audit redis-server");
  auto options = std::make_shared<audit_options>();
  declare_target(verb, options->target);
  verb.flag("--json", options->json, "Print JSON");
  verb.action([options, status] { *status = audit(*options); });
}

} // namespace m9::tool
