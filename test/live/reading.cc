// SPDX-License-Identifier: BSD-2-Clause
//
// reading FILE SECONDS: reads a live file a hundred times a second, in turn anew and by one that stays open, as a whole
// and its counters alone. No counter of any cell on any CPU ever goes back, and no type has more frees than
// allocations.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>
#include <tuple>
#include <vector>

#include <fcntl.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/live_file.h"

using namespace m9;

namespace {

struct watcher {
  std::map<std::tuple<int32_t, uint32_t, uint32_t>, std::pair<uint64_t, uint64_t>> last; // by CPU, zone and tag
  uint64_t operations = 0, reads = 0;
  uint64_t short_reads = 0; // of counters alone, which saw more than the read before
  bool only_counters = false;

  bool read(const std::string &path, tool::live_file &file) {
    only_counters = reads % 3 == 2 && file.read_counters(image);
    if (reads % 3 == 0)
      return look(tool::dump_load(path).view);
    if (!only_counters)
      image = file.read();
    statistics_view v{};
    if (view_open(v, reinterpret_cast<const unsigned char *>(image.memory.get()), image.size).what == nullptr)
      return look(v);
    std::printf("an image that is none\n");
    return false;
  }

  bool look(const statistics_view &v) {
    uint64_t now = 0;
    for (uint32_t p = 0; p < view_count(v, format::section_kind::cpus); p++)
      for (uint32_t i = 0; i < view_count(v, format::section_kind::cells); i++) {
        const format::cpu_entry cpu = view_cpu(v, p);
        const format::cell_entry cell = view_cell(v, i);
        const uint64_t allocs = view_allocs(v, cell, 1, cpu).count, frees = view_frees(v, cell, 1, cpu).count;
        auto &before = last[{cpu.cpu, cell.zone, cell.tag}];
        if (allocs < before.first || frees < before.second) {
          std::printf("cell %u on CPU %d went back: %lu %lu, now %lu %lu\n", i, cpu.cpu, before.first, before.second,
                      allocs, frees);
          return false;
        }
        before = {allocs, frees};
        now += allocs;
      }
    std::vector<type_sum> sums(view_count(v, format::section_kind::types));
    view_sum_types(v, sums.data());
    for (const type_sum &s : sums)
      if (s.numfrees > s.numallocs || s.memfreed > s.memalloced) {
        std::printf("more frees than allocations: %lu of %lu\n", s.numfrees, s.numallocs);
        return false;
      }
    if (only_counters && now > operations)
      short_reads++;
    operations = now;
    reads++;
    return true;
  }

  tool::live_image image; // of the file that stays open
};

} // namespace

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  watcher w;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[2]));
  uint64_t first = 0;
  try {
    tool::live_file file(tool::unique_fd(::open(argv[1], O_RDONLY | O_CLOEXEC)), argv[1]);
    for (auto next = std::chrono::steady_clock::now(); next < end; next += std::chrono::milliseconds(10)) {
      std::this_thread::sleep_until(next);
      if (!w.read(argv[1], file))
        return 1;
      first = first != 0 ? first : w.operations;
    }
  } catch (const tool::error &e) {
    std::printf("%s\n", e.what());
    return 1;
  }
  std::printf("%lu reads, %lu of counters alone, %lu allocations meanwhile\n", w.reads, w.short_reads,
              w.operations - first);
  return w.operations > first && w.short_reads > w.reads / 20 ? 0 : 1;
}
