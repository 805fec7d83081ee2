// SPDX-License-Identifier: BSD-2-Clause
//
// The text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats): UTF-8, with \, "
// and newlines of label values escaped, and all samples of a metric in one group behind its TYPE.
#include "tool/error.h"
#include "tool/export.h"
#include "tool/json.h"

namespace m9::tool {
namespace {

struct metric {
  const char *name, *kind, *help;
  uint64_t (*value)(const figures &f);
};

constexpr metric metrics[] = {
    {"malloc9_live_bytes", "gauge", "Bytes that are live.", [](const figures &f) { return f.memuse; }},
    {"malloc9_live_items", "gauge", "Items that are live.", [](const figures &f) { return f.inuse; }},
    {"malloc9_peak_bytes", "gauge", "The most bytes that were live at one moment, at least.",
     [](const figures &f) { return f.highuse; }},
    {"malloc9_allocations_total", "counter", "Allocations.", [](const figures &f) { return f.numallocs; }},
    {"malloc9_frees_total", "counter", "Frees.", [](const figures &f) { return f.numfrees; }},
    {"malloc9_allocated_bytes_total", "counter", "Bytes that were allocated.",
     [](const figures &f) { return f.memalloced; }},
};

// A label's value with its quotes. JSON escapes the same three, and control characters, which are made printable
// before; bytes that are no UTF-8 are replaced.
std::string label(const std::string &text) { return json_text(printable(text)); }

std::string process_labels(const model_head &head) {
  return fmt::format("program={},pid=\"{}\"", label(head.program), head.pid);
}

} // namespace

void export_prometheus(output &out, const std::vector<metrics_of> &processes, const std::string &by) {
  out.put("# HELP malloc9_start_time_seconds When the process began to count, since 1970.\n"
          "# TYPE malloc9_start_time_seconds gauge\n");
  for (const metrics_of &p : processes)
    out.print("malloc9_start_time_seconds{{{}}} {:.3f}\n", process_labels(*p.m),
              static_cast<double>(p.m->start_ns) / 1e9);
  out.put("# HELP malloc9_info How the library runs.\n# TYPE malloc9_info gauge\n");
  for (const metrics_of &p : processes)
    out.print("malloc9_info{{{},mode=\"{}\",reason={}}} 1\n", process_labels(*p.m), view_mode_name(p.m->mode),
              label(p.m->mode_reason));
  for (const metric &about : metrics) {
    out.print("# HELP {} {}\n# TYPE {} {}\n", about.name, about.help, about.name, about.kind);
    for (const metrics_of &p : processes)
      for (const group &g : *p.groups)
        out.print("{}{{{},{}={}}} {}\n", about.name, process_labels(*p.m), by, label(g.name), about.value(g.sum));
  }
}

} // namespace m9::tool
