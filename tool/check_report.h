// SPDX-License-Identifier: BSD-2-Clause
//
// What `malloc9 check` found, for people, for CI systems (JUnit's XML) and for GitHub (annotations of the workflow's
// log).
#pragma once

#include <string>
#include <vector>

#include "tool/judge.h"
#include "tool/output.h"

namespace m9::tool {

void print_verdicts(output &out, const std::vector<verdict> &verdicts);
void print_verdicts_json(output &out, const model_head &head, const std::vector<verdict> &verdicts);
void print_annotations(output &out, const std::vector<verdict> &verdicts);
void print_junit(output &out, const model_head &head, const std::vector<verdict> &verdicts);

} // namespace m9::tool
