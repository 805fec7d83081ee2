// SPDX-License-Identifier: BSD-2-Clause
//
// Symbols as people wrote them: C++ and both manglings of Rust, by libiberty. Without parameters, return types and
// hashes, and without what compilers append to the parts of a function (".part.0").
#pragma once

#include <string>

namespace m9::tool {

// What is no mangled name comes back as it is, but for such an ending.
std::string demangle(const std::string &symbol);

// Whether a demangled name is of the language's own library, whose functions allocate for whoever calls them: std::,
// operator new, Rust's alloc and core.
bool is_library_function(const std::string &function);

} // namespace m9::tool
