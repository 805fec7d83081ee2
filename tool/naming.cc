// SPDX-License-Identifier: BSD-2-Clause
#include "tool/naming.h"

#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "tool/demangle.h"
#include "tool/error.h"

namespace m9::tool {
namespace {

bool is_generated(const model_module &module) { return module.path.starts_with("(code)"); }

// Of `module!function+0x1c`.
uint64_t recorded_offset(const std::string &name) {
  uint64_t offset = 0;
  const size_t plus = name.rfind("+0x");
  if (plus != std::string::npos)
    std::from_chars(name.data() + plus + 3, name.data() + name.size(), offset, 16);
  return offset;
}

std::string base_name(const std::string &path) { return std::filesystem::path(path).filename(); }

} // namespace

naming::naming(const model &statistics, naming_options wanted) : m(statistics), how(std::move(wanted)) {}

debug_info &naming::module_info(uint32_t module) {
  const auto known = modules.find(module);
  if (known != modules.end())
    return known->second;
  const bool thorough = how.source == name_source::debug;
  if (thorough && !server)
    server = std::make_unique<debuginfod>(problem_lines);
  const model_module &about = m.modules[module];
  debug_files files = debug_files_find(about, m.pid, how.debug_folder, server.get());
  const bool nothing = !files.loaded.elf && !files.debug.elf;
  const std::string path = printable(about.path);
  if (nothing && files.state == file_state::replaced)
    problem_lines.push_back(path + ": not the file that ran (its build-id differs), so it gives no names");
  else if (nothing && thorough && files.state == file_state::gone)
    problem_lines.push_back(path + ": the file that ran is not there, so it gives no names");
  else if (nothing && thorough && files.state == file_state::no_build_id)
    problem_lines.push_back(path + ": has no build-id to know it by, so it gives no names");
  return modules.emplace(module, std::move(files)).first->second;
}

std::string naming::jit_name(uint32_t module, uint64_t offset) {
  const model_module &about = m.modules[module];
  if (m.inherited == inheritance::of_many)
    return {}; // of whichever process it was
  if (!jit)
    jit = std::make_unique<jit_map>(fmt::format("{}/perf-{}.map", how.jit_folder, m.pid), m.start_ns);
  return offset != 0 ? jit->at(about.base + offset - 1) : jit->only(about.start, about.end);
}

// A return address lies behind its call, and may be the first of another function.
std::vector<source_frame> naming::frames(uint32_t module, uint64_t offset) {
  if (module >= m.modules.size())
    return {};
  if (is_generated(m.modules[module])) {
    const std::string name = jit_name(module, offset);
    return name.empty() ? std::vector<source_frame>() : std::vector<source_frame>{{name, "", 0}};
  }
  return offset != 0 ? module_info(module).frames(offset - 1) : std::vector<source_frame>();
}

named_site naming::looked_up(const model_type &type) {
  named_site site;
  const std::vector<source_frame> found = frames(type.module, type.offset);
  if (found.empty())
    return site;
  const model_module &about = m.modules[type.module];
  const source_frame *best = &found.back();
  for (auto frame = found.rbegin(); frame != found.rend(); ++frame)
    if (!frame->function.empty() && !is_library_function(frame->function))
      best = &*frame;
  site.module = is_generated(about) ? about.path : base_name(about.path);
  site.function = best->function;
  site.file = best->file;
  site.line = best->line;
  if (found.size() > 1)
    site.inlined = found;
  if (!is_generated(about))
    if (const function_symbol *s = module_info(type.module).symbol(type.offset - 1))
      site.offset = type.offset - s->start;
  return site;
}

std::string naming::symbol_of(const model_type &type) {
  std::string function = site_name_of(type).function;
  if (function.empty() && type.module < m.modules.size() && type.offset != 0 && !is_generated(m.modules[type.module]))
    if (const function_symbol *s = module_info(type.module).symbol(type.offset - 1))
      function = s->name;
  return function;
}

named_site naming::site_of(const model_type &type) {
  named_site site;
  if ((type.flags & format::type_by_rule) != 0)
    return site;
  static_cast<site_name &>(site) = site_name_of(type);
  const bool generated = type.module < m.modules.size() && is_generated(m.modules[type.module]);
  if (site.module.empty() && !generated)
    return site; // named by somebody who knew
  site.offset = site.function.empty() ? 0 : recorded_offset(type.name);
  if (how.source == name_source::dump)
    return site;
  site.function = demangle(site.function);
  if (!site.function.empty() && how.source == name_source::automatic)
    return site;
  named_site found = looked_up(type);
  if (found.function.empty())
    found.function = site.function;
  return found.module.empty() ? site : found;
}

std::string naming::shown(const model_type &type) {
  const named_site site = site_of(type);
  if (how.source == name_source::dump || site.module.empty() || site.function.empty())
    return type.name;
  const std::string name = fmt::format("{}!{}", site.module, site.function);
  if (!site.file.empty() && site.line != 0)
    return fmt::format("{} ({}:{})", name, base_name(site.file), site.line);
  return site.offset != 0 ? fmt::format("{}+0x{:x}", name, site.offset) : name;
}

} // namespace m9::tool
