// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 info: which process these statistics are of, how the library ran in it, and what they lack.
#include <algorithm>
#include <ctime>
#include <memory>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/groups.h"
#include "tool/json.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {
namespace {

struct info_options {
  std::string target;
  bool json = false;
};

const char *inheritance_text(inheritance how) {
  return how == inheritance::of_many  ? "of many processes, merged"
         : how == inheritance::of_one ? "of a forked child: goes on from its parent's counts"
                                      : "none";
}

// "2026-11-25 13:37:01 UTC"
std::string time_text(uint64_t ns) {
  const auto seconds = static_cast<time_t>(ns / 1000000000);
  std::tm utc{};
  if (gmtime_r(&seconds, &utc) == nullptr)
    return fmt::format("{} ns after 1970", ns);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc)};
}

uint64_t folded_sites(const model &m) {
  for (const model_note &note : m.notes)
    if (note.name == "sites folded")
      return note.value;
  return 0;
}

void print_modules(output &out, const model &m) {
  for (const model_module &module : m.modules)
    out.print("  {}  {:<40}  {}\n", module.flags & 1 ? "unloaded" : "loaded  ",
              module.build_id.empty() ? "(no build-id)" : module.build_id, printable(module.path));
}

void info_text(output &out, const model &m, const format::header &header) {
  const auto line = [&](const char *name, const std::string &text) { out.print("{:<12} {}\n", name, printable(text)); };
  line("Program", m.program);
  line("Command", m.command);
  line("Process", fmt::format("{}, dump {} of it", m.pid, m.sequence));
  line("Mode", view_mode_name(m.mode) + (m.mode_reason.empty() ? std::string() : ": " + m.mode_reason));
  line("Started", time_text(m.start_ns));
  line("Written", fmt::format("{}, {:.3f} s later", time_text(m.time_ns), seconds_of(m)));
  line("Format", fmt::format("version {}, {} bytes; read by malloc9 {}", header.version, header.file_size, M9_VERSION));
  line("Counted", fmt::format("{} types, {} zones, {} CPUs", types_sorted(m).size(), m.zones.size(), m.cpus.size()));
  line("Inherited", inheritance_text(m.inherited));
  line("Folded", folded_sites(m) == 0 ? "nothing: every call site has a type of its own, or its rule's"
                                      : fmt::format("{} call sites share the type (other)", folded_sites(m)));
  for (const model_note &note : m.notes)
    line("Note", fmt::format("{}: {}", note.name, note.value));
  out.print("Modules      {}\n", m.modules.size());
  print_modules(out, m);
}

void add_modules(json_writer &json, const model &m) {
  json.key("modules").begin_array();
  for (const model_module &module : m.modules) {
    json.begin_object();
    json.member("path", module.path);
    json.member("build_id", module.build_id);
    json.member("unloaded", (module.flags & 1) != 0);
    json.member("base", module.base);
    json.member("start", module.start);
    json.member("end", module.end);
    json.end_object();
  }
  json.end_array();
}

void info_json(output &out, const model &m, const format::header &header) {
  json_writer json(out);
  json.begin_object();
  add_head(json, m);
  json.member("mode_reason", m.mode_reason);
  json.member("command", m.command);
  json.member("sequence", m.sequence);
  json.member("start_ns", m.start_ns);
  json.member("time_ns", m.time_ns);
  json.member("seconds", seconds_of(m));
  json.member("format_version", header.version);
  json.member("file_size", header.file_size);
  json.member("tool_version", M9_VERSION);
  json.member("page_size", m.page_size);
  json.member("types", types_sorted(m).size());
  json.member("cpus", m.cpus.size());
  json.member("folded", folded_sites(m));
  json.member("inherited", m.inherited != inheritance::none);
  json.member("merged", m.inherited == inheritance::of_many);
  json.key("notes").begin_object();
  for (const model_note &note : m.notes)
    json.member(note.name, note.value);
  json.end_object();
  add_modules(json, m);
  json.end_object();
  json.finish();
}

} // namespace

void add_info(CLI::App &app) {
  verb_options verb = add_verb(
      app, "info", "Print which process it was, how the library ran, and what was folded",
      "The mode is rseq, or fallback or compact with the reason. Folded are call sites that had to share the type\n"
      "(other), so that totals stay exact. Modules are listed with the build-ids by which diff and\n"
      "debug files know them.\n\n"
      "Example:\n  malloc9 info t.m9\n  malloc9 info t.m9 --json | jq .notes");
  auto options = std::make_shared<info_options>();
  declare_target(verb, options->target);
  verb.flag("--json", options->json, "Print JSON");
  verb.action([options] {
    const dump_file dump = dump_load(options->target);
    output out = standard_output();
    (options->json ? info_json : info_text)(out, model_of(dump.view), dump.view.header);
    out.finish();
  });
}

} // namespace m9::tool
