// SPDX-License-Identifier: BSD-2-Clause
//
// Where libmalloc9.so is.
#pragma once

#include <string>

namespace m9::tool {

// `given` (--lib) if not empty, else MALLOC9_LIB, else beside this program: in a build tree, or as installed. The
// result is absolute and can be preloaded; throws error otherwise.
std::string library_find(const std::string &given);

} // namespace m9::tool
