// SPDX-License-Identifier: BSD-2-Clause
#include "tool/export.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "tool/error.h"
#include "tool/json.h"

namespace m9::tool {
namespace {

// ';' parts frames, and a number follows the last blank of a line.
std::string folded_name(const std::string &name) {
  std::string out = printable(name);
  std::replace(out.begin(), out.end(), ';', ':');
  return out;
}

std::vector<const source_frame *> frames_outermost_first(const stacks &s, const stack_sample &sample) {
  std::vector<const source_frame *> frames;
  for (auto place = sample.places.rbegin(); place != sample.places.rend(); ++place)
    for (auto frame = s.places[*place].frames.rbegin(); frame != s.places[*place].frames.rend(); ++frame)
      frames.push_back(&*frame);
  return frames;
}

std::string frame_key(const source_frame &f) { return fmt::format("{}\n{}\n{}", f.function, f.file, f.line); }

class speedscope_frames {
public:
  size_t index_of(const source_frame &frame) {
    const auto [at, is_new] = index.try_emplace(frame_key(frame), frames.size());
    if (is_new)
      frames.push_back(&frame);
    return at->second;
  }

  void write(json_writer &json) const {
    json.key("shared").begin_object();
    json.key("frames").begin_array();
    for (const source_frame *frame : frames) {
      json.begin_object();
      json.member("name", frame->function);
      if (!frame->file.empty())
        json.member("file", frame->file);
      if (frame->line != 0)
        json.member("line", frame->line);
      json.end_object();
    }
    json.end_array();
    json.end_object();
  }

private:
  std::map<std::string, size_t> index;
  std::vector<const source_frame *> frames;
};

void add_profile(json_writer &json, const stacks &s, speedscope_frames &frames, const char *name, stack_weight weight) {
  uint64_t total = 0;
  json.begin_object();
  json.member("type", "sampled");
  json.member("name", name);
  json.member("unit", weight == stack_weight::live || weight == stack_weight::bytes ? "bytes" : "none");
  json.key("samples").begin_array();
  for (const stack_sample &sample : s.samples) {
    json.begin_array();
    for (const source_frame *frame : frames_outermost_first(s, sample))
      json.value(frames.index_of(*frame));
    json.end_array();
  }
  json.end_array();
  json.key("weights").begin_array();
  for (const stack_sample &sample : s.samples) {
    json.value(weight_of(sample.sum, weight));
    total += weight_of(sample.sum, weight);
  }
  json.end_array();
  json.member("startValue", 0);
  json.member("endValue", total);
  json.end_object();
}

// mts_size has bit i for items of 16 << i bytes; ours that lie between go to the next; large ones have none.
uint64_t size_mask(const model &m, const model_type &type) {
  uint64_t mask = 0;
  for (const uint64_t size : type_sizes(m, type))
    if (size != 0)
      mask |= uint64_t{1} << (std::bit_width((std::max<uint64_t>(size, 16) - 1) >> 4) & 63);
  return mask;
}

constexpr size_t freebsd_max_name = 32; // MALLOC_MAX_NAME, with its end

// At most 31 bytes, and no two the same, as readers know types by name: without the module if need be, then cut.
std::string freebsd_name(const std::string &shown, std::set<std::string> &taken) {
  std::string name = printable(shown);
  if (const size_t mark = name.find('!'); name.size() >= freebsd_max_name && mark != std::string::npos)
    name.erase(0, mark + 1);
  std::string unique = name.substr(0, freebsd_max_name - 1);
  for (int n = 2; !taken.insert(unique).second; n++) {
    const std::string suffix = fmt::format("~{}", n);
    unique = name.substr(0, freebsd_max_name - 1 - suffix.size()) + suffix;
  }
  return unique;
}

template <typename number> void put_number(output &out, number value) {
  out.put(std::string_view(reinterpret_cast<const char *>(&value), sizeof value));
}

// struct malloc_type_stats, with its three reserved fields.
void put_stats(output &out, const counts &c, uint64_t sizes) {
  for (const uint64_t value : {c.memalloced, c.memfreed, c.numallocs, c.numfrees, c.any() ? sizes : uint64_t{0},
                               uint64_t{0}, uint64_t{0}, uint64_t{0}})
    put_number(out, value);
}

std::string csv_rate(const model &m, uint64_t allocations) {
  return fmt::format("{:.3f}", static_cast<double>(allocations) / seconds_of(m));
}

} // namespace

uint64_t weight_of(const figures &f, stack_weight weight) {
  switch (weight) {
  case stack_weight::items:
    return f.inuse;
  case stack_weight::allocs:
    return f.numallocs;
  case stack_weight::bytes:
    return f.memalloced;
  case stack_weight::live:
    break;
  }
  return f.memuse;
}

void export_folded(output &out, const model &m, naming &names, stack_weight weight) {
  const stacks s = stacks_of(m, names);
  std::map<std::string, uint64_t> lines;
  for (const stack_sample &sample : s.samples) {
    std::string line = folded_name(m.program);
    for (const source_frame *frame : frames_outermost_first(s, sample))
      line += ";" + folded_name(frame->function);
    lines[line] += weight_of(sample.sum, weight);
  }
  for (const auto &[line, value] : lines)
    if (value != 0)
      out.print("{} {}\n", line, value);
}

void export_speedscope(output &out, const model &m, naming &names) {
  const stacks s = stacks_of(m, names);
  speedscope_frames frames;
  json_writer json(out);
  json.begin_object();
  json.member("$schema", "https://www.speedscope.app/file-format-schema.json");
  json.member("name", m.program);
  json.member("exporter", "malloc9 " M9_VERSION);
  json.key("profiles").begin_array();
  add_profile(json, s, frames, "bytes live", stack_weight::live);
  add_profile(json, s, frames, "items live", stack_weight::items);
  add_profile(json, s, frames, "allocations", stack_weight::allocs);
  add_profile(json, s, frames, "bytes allocated", stack_weight::bytes);
  json.end_array();
  frames.write(json);
  json.end_object();
  json.finish();
}

void export_allocinfo(output &out, const model &m, naming &names) {
  out.put("allocinfo - version: 1.0\n#     <size>  <calls> <tag info>\n");
  for (const stack_sample &sample : stacks_of(m, names).samples) {
    const named_site site = names.site_of(m.types[sample.type]);
    out.print("{:>12} {:>8} {}:{}", sample.sum.memuse, sample.sum.inuse,
              site.file.empty() ? "??" : printable(site.file), site.line);
    if (!site.module.empty())
      out.print(" [{}]", printable(site.module));
    out.print(" func:{}\n", printable(site.function.empty() ? m.types[sample.type].name : site.function));
  }
}

void export_malloc_stats(output &out, const model &m, naming &names) {
  const std::vector<uint32_t> types = types_sorted(m);
  const int32_t last = m.cpus.empty() ? 0 : std::max(0, *std::max_element(m.cpus.begin(), m.cpus.end()));
  const auto slots = static_cast<uint32_t>(last) + 2; // what no CPU was charged with comes last
  put_number(out, uint32_t{1});                       // MALLOC_TYPE_STREAM_VERSION
  put_number(out, slots);
  put_number(out, static_cast<uint32_t>(types.size()));
  put_number(out, uint32_t{0});
  std::set<std::string> taken;
  for (const uint32_t i : types) {
    std::string name = freebsd_name(names.shown(m.types[i]), taken);
    name.resize(freebsd_max_name);
    out.put(name);
    std::vector<counts> by_slot(slots);
    const std::vector<counts> by_cpu = type_by_cpu(m, m.types[i]);
    for (size_t p = 0; p < by_cpu.size(); p++)
      by_slot[m.cpus[p] >= 0 ? static_cast<size_t>(m.cpus[p]) : slots - 1] += by_cpu[p];
    const uint64_t sizes = size_mask(m, m.types[i]);
    for (const counts &c : by_slot)
      put_stats(out, c, sizes);
  }
}

void export_csv(output &out, const model &m, const std::vector<group> &groups) {
  out.put("name,inuse,memuse,highuse,highuse_exact,numallocs,numfrees,memalloced,rate,types\n");
  for (const group &g : groups)
    out.print("{},{},{},{},{},{},{},{},{},{}\n", csv_field(g.name), g.sum.inuse, g.sum.memuse, g.sum.highuse,
              g.sum.highuse_exact ? 1 : 0, g.sum.numallocs, g.sum.numfrees, g.sum.memalloced,
              csv_rate(m, g.sum.numallocs), g.types.size());
}

} // namespace m9::tool
