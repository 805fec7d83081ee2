// SPDX-License-Identifier: BSD-2-Clause
//
// A program whose code lies far from its other segments: the loader then says of it only the segment an address is in.
// It must be one module all the same, with its build-id, its symbols and its unwind table.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "shim/symbols.h"
#include "shim/unwind.h"

namespace {

void check(bool good, const char *what) {
  if (!good) {
    std::printf("%s\n", what);
    std::exit(1);
  }
}

int data = 1;

} // namespace

int main() {
  const auto address = reinterpret_cast<uintptr_t>(&main) + 1;
  dl_find_object found;
  check(_dl_find_object(reinterpret_cast<void *>(address), &found) == 0, "no module");
  check(std::memcmp(found.dlfo_map_start,
                    "\x7F"
                    "ELF",
                    4) != 0,
        "this program has no hole: the test proves nothing");
  m9::module_facts facts;
  check(m9::module_find(address, facts) && facts.build_id_size != 0, "no build-id");
  check(facts.start <= reinterpret_cast<uintptr_t>(&data) && reinterpret_cast<uintptr_t>(&data) < facts.end,
        "its data lies outside");
  m9::symbol symbol;
  check(m9::symbol_find(facts, address, symbol) && std::strcmp(symbol.name, "main") == 0, "no symbol");
  m9::unwind_function function;
  const m9::unwind_step step = m9::unwind_find(address, function);
  check(step.base == m9::unwind_base::rsp && function.start == address - 1, "no step");
  return 0;
}
