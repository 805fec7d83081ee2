// SPDX-License-Identifier: BSD-2-Clause
#include "tool/growth.h"

#include <algorithm>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/marks.h"

namespace m9::tool {
namespace {

// What one walk over the samples tells of each type, by its number in the recording.
struct extremes {
  std::vector<uint64_t> first, peak, last; // bytes; `first`: at the first sample, where it may not have been yet
};

extremes extremes_of(const recording &recorded, size_t types) {
  extremes e{std::vector<uint64_t>(types), std::vector<uint64_t>(types), std::vector<uint64_t>(types)};
  uint64_t sample = 0;
  recorded.each([&](double, const std::vector<recording::change> &changes) {
    for (const auto &[type, total] : changes) {
      e.last[type] = total.memuse();
      e.peak[type] = std::max(e.peak[type], total.memuse());
      if (sample == 0)
        e.first[type] = total.memuse();
    }
    sample++;
  });
  return e;
}

// The line of each type by its number; lines.size(): none.
std::vector<size_t> choose_lines(page_growth &growth, const extremes &e, const std::vector<uint32_t> &places,
                                 size_t most) {
  std::vector<size_t> order;
  for (size_t i = 0; i < places.size(); i++)
    if (places[i] != UINT32_MAX && e.peak[i] != 0)
      order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return e.peak[a] > e.peak[b]; });
  order.resize(std::min(order.size(), most));
  std::vector<size_t> line(places.size(), SIZE_MAX);
  for (const size_t i : order) {
    line[i] = growth.lines.size();
    growth.lines.push_back({places[i], {}});
  }
  return line;
}

} // namespace

page_growth growth_of(const recording &recorded, const model &last, size_t most_points, size_t most_lines) {
  const std::vector<uint32_t> places = recorded.places(last);
  const extremes e = extremes_of(recorded, places.size());
  page_growth growth;
  growth.samples = recorded.samples();
  for (const recording::mark &mark : recorded.marks())
    growth.marks.emplace_back(mark.seconds, mark.name);
  growth.growth.resize(last.types.size());
  for (size_t i = 0; i < places.size(); i++)
    if (places[i] != UINT32_MAX)
      growth.growth[places[i]] = static_cast<int64_t>(e.last[i]) - static_cast<int64_t>(e.first[i]);
  const std::vector<size_t> line = choose_lines(growth, e, places, most_lines);
  std::vector<uint64_t> bytes(places.size());
  std::vector<size_t> changed; // since the last point, numbers of types that have lines
  uint64_t total = 0, sample = 0;
  recorded.each([&](double seconds, const std::vector<recording::change> &changes) {
    for (const auto &change : changes) {
      total += change.total.memuse() - bytes[change.type];
      bytes[change.type] = change.total.memuse();
      if (line[change.type] != SIZE_MAX)
        changed.push_back(change.type);
    }
    sample++;
    const bool is_point = recorded.samples() <= most_points || sample == recorded.samples() ||
                          sample * most_points / recorded.samples() != (sample - 1) * most_points / recorded.samples();
    if (!is_point)
      return;
    for (const size_t type : changed) {
      auto &changes_of = growth.lines[line[type]].changes;
      if (changes_of.empty() ? bytes[type] != 0 : changes_of.back().second != bytes[type])
        changes_of.emplace_back(growth.seconds.size(), bytes[type]);
    }
    changed.clear();
    growth.seconds.push_back(seconds);
    growth.total.push_back(total);
  });
  return growth;
}

std::optional<page_growth> growth_by_marks(const std::string &path, const model &last) {
  const std::vector<made_mark> marks = marks_of(path, last);
  if (marks.empty())
    return std::nullopt;
  const auto seconds = [&](uint64_t time_ns) {
    const uint64_t first = marks.front().time_ns;
    return time_ns > first ? static_cast<double>(time_ns - first) / 1e9 : 0;
  };
  std::string bytes;
  output out(bytes);
  recorder moments(out, last);
  for (const made_mark &mark : marks)
    try {
      moments.sample(model_of(dump_load(mark.path).view), seconds(mark.time_ns));
      moments.mark(mark.name, seconds(mark.time_ns));
    } catch (const error &e) {
      complain(std::string("note: ") + e.what());
    }
  moments.sample(last, seconds(last.time_ns));
  moments.finish(last);
  return growth_of(recording(path, std::move(bytes)), last);
}

} // namespace m9::tool
