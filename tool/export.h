// SPDX-License-Identifier: BSD-2-Clause
//
// Statistics in the formats of other tools. Each format is described where its function is.
#pragma once

#include <string>
#include <vector>

#include "tool/groups.h"
#include "tool/output.h"
#include "tool/stacks.h"

namespace m9::tool {

// What a format with one number per stack adds up.
enum class stack_weight { live, items, allocs, bytes };
uint64_t weight_of(const figures &f, stack_weight weight);

// pprof's profile.proto, compressed by gzip: alloc_objects, alloc_space, inuse_objects, inuse_space.
std::string export_pprof(const model &m, naming &names);
// "program;outermost;...;innermost NUMBER": what flame graphs are drawn from.
void export_folded(output &out, const model &m, naming &names, stack_weight weight);
// speedscope's JSON: a profile for each weight.
void export_speedscope(output &out, const model &m, naming &names);
// Linux's /proc/allocinfo, version 1.0: bytes and items that are live, and the place.
void export_allocinfo(output &out, const model &m, naming &names);
// FreeBSD's kern.malloc_stats, MALLOC_TYPE_STREAM_VERSION 1, as vmstat -m reads it.
void export_malloc_stats(output &out, const model &m, naming &names);
void export_csv(output &out, const model &m, const std::vector<group> &groups);

// One process of a page of metrics.
struct metrics_of {
  const model *m;
  const std::vector<group> *groups;
};
// The text format of Prometheus. Each metric's samples stand together, so all processes are written at once.
void export_prometheus(output &out, const std::vector<metrics_of> &processes, const std::string &by);

} // namespace m9::tool
