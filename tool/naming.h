// SPDX-License-Identifier: BSD-2-Clause
//
// What a type is called: by the statistics, and by the debug information of the files that they name (DWARF with
// inlined functions, symbols, JIT maps). Lazy: a module's files are opened when something in it is asked for, once.
// The model must outlive it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tool/debug_info.h"
#include "tool/debuginfod.h"
#include "tool/jit_map.h"
#include "tool/model.h"
#include "tool/site_name.h"

namespace m9::tool {

// Where names come from. automatic: debug information only where the statistics tell no function, and no server.
enum class name_source { automatic, dump, debug };

struct naming_options {
  name_source source = name_source::automatic;
  std::string debug_folder = "/usr/lib/debug";
  std::string jit_folder = "/tmp";
};

struct named_site : site_name {
  uint64_t offset = 0; // of the return address in the function, where no line is known
  // All that the compiler merged at this place, innermost first, up to the function that it is part of; empty: nothing.
  // `function` is the first of them that is not of the language's library.
  std::vector<source_frame> inlined;
};

class naming {
public:
  naming(const model &statistics, naming_options how);

  const naming_options &options() const { return how; }
  named_site site_of(const model_type &type);
  // The same by debug information alone, whatever the options say.
  named_site looked_up(const model_type &type);
  // The symbol that the type lies in, as it stands in the file (mangled); empty: unknown.
  std::string symbol_of(const model_type &type);
  // What a table calls it; the type's own name where no better one is known.
  std::string shown(const model_type &type);
  // The functions at a return address, innermost first; empty: unknown. For any place, whatever the options say.
  std::vector<source_frame> frames(uint32_t module, uint64_t offset);
  // One line for each thing that kept names from being found, once the names were asked for.
  const std::vector<std::string> &problems() const { return problem_lines; }

private:
  debug_info &module_info(uint32_t module);
  std::string jit_name(uint32_t module, uint64_t offset);

  const model &m;
  naming_options how;
  std::vector<std::string> problem_lines;
  std::unique_ptr<debuginfod> server;
  std::unique_ptr<jit_map> jit;
  std::map<uint32_t, debug_info> modules;
};

} // namespace m9::tool
