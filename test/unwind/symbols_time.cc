// SPDX-License-Identifier: BSD-2-Clause
//
// symbols_time LIBRARY COUNT: a library with functions f0, f1, ... that only its .symtab names, and exported ones e0,
// ... Finds every one of a few thousand random ones by its right name, and says how long the first and the others took.
// Status 1: a wrong name, or a median above 20 microseconds.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "shim/symbols.h"
#include "shim/unwind.h"

int main(int argc, char **argv) {
  void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  if (!library)
    return 2;
  const unsigned long count = std::strtoul(argv[2], nullptr, 10);
  // Each function is 16 bytes: half of them are exported.
  const auto first = reinterpret_cast<uintptr_t>(dlsym(library, "e0"));
  std::mt19937_64 random(9);
  std::vector<double> times;
  for (int i = 0; i < 4001; i++) {
    const unsigned long n = random() % count;
    const uintptr_t address = first + n * 16 + random() % 16;
    const auto begin = std::chrono::steady_clock::now();
    m9::module_facts facts;
    m9::symbol found;
    m9::unwind_function function;
    const bool good = m9::module_find(address, facts) && m9::symbol_find(facts, address, found);
    m9::unwind_find(address + 1, function);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
    const std::string name = (n % 2 ? "f" : "e") + std::to_string(n);
    if (!good || name != found.name || found.start != first + n * 16 || found.size != 16) {
      std::printf("function %lu: %s at %#zx\n", n, good ? found.name : "no name", found.start);
      return 1;
    }
  }
  const double once = times[0];
  std::nth_element(times.begin(), times.begin() + 2000, times.end());
  std::printf("%lu symbols, %zu bytes of index; the first look took %.0f us, the median one %.2f us\n", count,
              m9::symbols_bytes(), once, times[2000]);
  return times[2000] <= 20 ? 0 : 1;
}
