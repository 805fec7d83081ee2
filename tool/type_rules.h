// SPDX-License-Identifier: BSD-2-Clause
//
// The library's file of rules (core/rule_file.h), applied to statistics: rules by symbol and source file reach what
// only debug information names. What a rule named already when the program ran stays as it is.
#pragma once

#include <string>

#include "tool/model.h"
#include "tool/naming.h"

namespace m9::tool {

// Types that one rule names become one type of `m`, which has the types that `names` was made for. Throws error, with
// line and column, where the file is not good.
void type_rules_apply(model &m, naming &names, const std::string &path);

} // namespace m9::tool
