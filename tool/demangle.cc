// SPDX-License-Identifier: BSD-2-Clause
#include "tool/demangle.h"

#include <cstdlib>
#include <memory>

#define HAVE_DECL_BASENAME 1 // glibc has one, of another type
#include <libiberty/demangle.h>

namespace m9::tool {
namespace {

constexpr size_t longest = 16 * 1024; // of a symbol; beyond, it stays as it is

std::string without_ending(const std::string &symbol) {
  size_t end = symbol.size();
  for (const char *ending : {".part.", ".isra.", ".constprop.", ".lto_priv.", ".cold", ".llvm."}) {
    const size_t at = symbol.find(ending);
    if (at != std::string::npos && at != 0 && at < end)
      end = at;
  }
  return symbol.substr(0, end);
}

} // namespace

std::string demangle(const std::string &symbol) {
  std::string plain = without_ending(symbol);
  if (plain.size() > longest || !(plain.starts_with("_Z") || plain.starts_with("_R")))
    return plain;
  const std::unique_ptr<char, void (*)(void *)> name(cplus_demangle(plain.c_str(), DMGL_AUTO | DMGL_ANSI), std::free);
  return name && *name != '\0' ? std::string(name.get()) : plain;
}

bool is_library_function(const std::string &function) {
  size_t begin = 0;
  while (begin < function.size() && (function[begin] == '<' || function[begin] == '&'))
    begin++; // Rust: <alloc::vec::Vec<T> as Trait>::f
  for (const char *place : {"std::", "__gnu_cxx::", "operator new", "alloc::", "core::", "hashbrown::"})
    if (function.compare(begin, std::string(place).size(), place) == 0)
      return true;
  return false;
}

} // namespace m9::tool
