// SPDX-License-Identifier: BSD-2-Clause
//
// The bench's own workloads: `workloads NAME [KEY=VALUE...]` runs one and prints its outcome on one line,
// `workloads --list` says what there is.
#include "test/bench/workloads/workload.h"

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string_view>

namespace bench {

namespace {

constexpr workload workloads[] = {
    {"hot", hot, "malloc and free of one size again and again"},
    {"mixed_random", mixed_random, "1,000 live items of 13 sizes, freed in random order"},
    {"mixed_lifo", mixed_lifo, "1,000 live items of 13 sizes, the last made is freed first"},
    {"mixed_fifo", mixed_fifo, "1,000 live items of 13 sizes, the first made is freed first"},
    {"tree", tree, "a tree that grows and shrinks by whole branches"},
    {"server", server, "4 threads: requests, sessions, frees on other threads, threads that end and hand over"},
    {"producers", producers, "2 threads allocate what 2 others free"},
    {"sharing_items", sharing_items, "2 threads write to items that began as neighbours"},
    {"sharing_tags", sharing_tags, "2 threads allocate and free items that began as neighbours, a cache line each"},
    {"strings", strings, "strings that grow by realloc"},
    {"large", large, "blocks of 64 KiB to 8 MiB"},
    {"zeroed", zeroed, "calloc from 16 bytes to 1 MiB"},
    {"many_threads", many_threads, "64 threads, however few CPUs"},
    {"fragmented", fragmented, "nine in ten items freed at random, then another size"},
    {"scattered", scattered, "curve: replaces a random item among live=N items of 13 sizes"},
    {"threads", threads_curve, "curve: the same work spread over threads=N"},
    {"types", types_curve, "curve: the same work from types=N call sites"},
    {"watched", watched,
     "types=N call sites; begins at a byte on standard input, and prints when each ms of work ended"},
    {"rss", given_back, "what stays resident after 1 GiB in items of size=N was freed; asleep=1: nothing runs after"},
    {"wrapped", wrapped, "the hot pair through depth=N allocation wrappers"},
    {"sights", first_sights, "the first allocation of each of 1,000 functions, in ns"},
};

int usage() {
  fputs("usage: workloads NAME [scale=F] [threads=N] [live=N] [types=N] [size=N] [depth=N] [asleep=1]\n       "
        "workloads --list\n",
        stderr);
  return 2;
}

bool parse(const char *setting, options &o) {
  const char *equals = strchr(setting, '=');
  if (!equals)
    return false;
  char *end = nullptr;
  const double value = strtod(equals + 1, &end);
  if (end == equals + 1 || *end || value < 0)
    return false;
  const std::string_view key(setting, size_t(equals - setting));
  if (key == "scale")
    o.scale = value;
  else if (key == "threads")
    o.threads = unsigned(value);
  else if (key == "live")
    o.live = size_t(value);
  else if (key == "types")
    o.types = size_t(value);
  else if (key == "size")
    o.size = size_t(value);
  else if (key == "depth")
    o.depth = unsigned(value);
  else if (key == "asleep")
    o.asleep = value != 0;
  else
    return false;
  return true;
}

uint64_t now_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

} // namespace

uint64_t thread_cpu_ns() { return now_ns(CLOCK_THREAD_CPUTIME_ID); }

void pin(unsigned n) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return;
  n %= unsigned(CPU_COUNT(&allowed));
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || n-- != 0)
      continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

void fail(const char *what) {
  dprintf(2, "workloads: %s\n", what);
  _exit(1);
}

} // namespace bench

int main(int argc, char **argv) {
  using namespace bench;
  if (argc == 2 && !strcmp(argv[1], "--list")) {
    for (const workload &w : workloads)
      printf("%-14s %s\n", w.name, w.what);
    return 0;
  }
  options o;
  for (int i = 2; i < argc; i++)
    if (!parse(argv[i], o))
      return usage();
  for (const workload &w : workloads) {
    if (argc < 2 || strcmp(argv[1], w.name) != 0)
      continue;
    const uint64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns(CLOCK_MONOTONIC);
    const outcome x = w.run(o);
    printf("{\"workload\": \"%s\", \"check\": \"%016lx\", \"ns_median\": %.3f, \"ns_least\": %.3f, \"peak_mib\": %.2f, "
           "\"left_mib\": %.2f, \"ns_cpu\": %lu, \"ns_wall\": %lu}\n",
           w.name, x.check, x.ns_median, x.ns_least, x.peak_mib, x.left_mib, now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu,
           now_ns(CLOCK_MONOTONIC) - wall);
    return 0;
  }
  return usage();
}
