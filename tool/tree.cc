// SPDX-License-Identifier: BSD-2-Clause
#include "tool/tree.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "tool/error.h"

namespace m9::tool {
namespace {

uint64_t weight_of(const model &m, const model_type &type, tree_weight weight) {
  const counts total = type_total(type), done = operations(m, total, type_inherited(type));
  switch (weight) {
  case tree_weight::requests:
    return done.numallocs;
  case tree_weight::bytes:
    return done.memalloced;
  case tree_weight::inuse:
    return total.inuse();
  case tree_weight::memuse:
    return total.memuse();
  }
  return 0;
}

} // namespace

tree_weight tree_weight_of(const std::string &word) {
  return word == "bytes"    ? tree_weight::bytes
         : word == "inuse"  ? tree_weight::inuse
         : word == "memuse" ? tree_weight::memuse
                            : tree_weight::requests;
}

std::string frame_place(const model &m, const model_frame &frame) {
  const bool placed = frame.module < m.modules.size();
  const std::string module = placed ? std::filesystem::path(m.modules[frame.module].path).filename() : "(unknown)";
  return fmt::format("{}+0x{:x}", module, frame.offset);
}

call_tree::call_tree(const model &m, naming &names, tree_weight weight) : nodes(1) {
  for (const model_type &type : m.types) {
    const uint64_t n = weight_of(m, type, weight);
    if (n == 0)
      continue;
    std::vector<uint32_t> path; // innermost frame first
    for (uint32_t frame = type.chain; frame != format::no_chain; frame = m.frames[frame].caller)
      path.push_back(frame);
    uint32_t at = 0;
    nodes[0].total += n;
    const auto enter = [&](uint32_t name) {
      at = child(at, name);
      nodes[at].total += n;
    };
    for (auto frame = path.rbegin(); frame != path.rend(); ++frame)
      for (const uint32_t name : frame_names(m, names, *frame))
        enter(name);
    if (path.empty())
      enter(name_number(names.shown(type)));
    nodes[at].own += n;
  }
}

uint32_t call_tree::name_number(const std::string &name) {
  const auto [at, is_new] = numbers.try_emplace(printable(name), static_cast<uint32_t>(texts.size()));
  if (is_new)
    texts.push_back(at->first);
  return at->second;
}

const std::vector<uint32_t> &call_tree::frame_names(const model &m, naming &names, uint32_t frame) {
  const model_frame &f = m.frames[frame];
  const auto [at, is_new] = known_frames.try_emplace({f.module, f.offset});
  if (!is_new)
    return at->second;
  if (names.options().source != name_source::dump) {
    const std::vector<source_frame> found = names.frames(f.module, f.offset);
    for (auto source = found.rbegin(); source != found.rend(); ++source)
      if (!source->function.empty())
        at->second.push_back(name_number(source->function));
  }
  if (at->second.empty())
    at->second.push_back(name_number(frame_place(m, f)));
  return at->second;
}

uint32_t call_tree::child(uint32_t parent, uint32_t name) {
  const auto [at, is_new] = nodes[parent].children.try_emplace(name, static_cast<uint32_t>(nodes.size()));
  const uint32_t index = at->second;
  if (is_new)
    nodes.emplace_back();
  return index;
}

std::vector<std::pair<uint32_t, uint32_t>> call_tree::heaviest_first(const node &n) const {
  std::vector<std::pair<uint32_t, uint32_t>> list(n.children.begin(), n.children.end());
  std::sort(list.begin(), list.end(), [&](const auto &a, const auto &b) {
    const uint64_t first = nodes[a.second].total, second = nodes[b.second].total;
    return first != second ? first > second : texts[a.first] < texts[b.first];
  });
  return list;
}

void call_tree::print_line(output &out, uint64_t weight, size_t indent, const std::string &text) const {
  const double share = static_cast<double>(weight) * 100 / static_cast<double>(nodes[0].total);
  out.print("{:5.1f}% {:>14}  {:{}}{}\n", share, weight, "", indent, text);
}

// An only callee that takes all stays in its caller's column: chains are long, and screens are not wide.
void call_tree::print_below(output &out, uint32_t at, size_t indent, double least) const {
  const auto list = heaviest_first(nodes[at]);
  const double limit = least * static_cast<double>(nodes[0].total);
  const bool alone = list.size() == 1 && nodes[at].own == 0;
  const size_t deeper = at == 0 || alone ? indent : indent + 2;
  size_t shown = 0;
  for (; shown < list.size() && static_cast<double>(nodes[list[shown].second].total) >= limit; shown++) {
    print_line(out, nodes[list[shown].second].total, deeper, texts[list[shown].first]);
    print_below(out, list[shown].second, deeper, least);
  }
  uint64_t small = 0;
  for (size_t i = shown; i < list.size(); i++)
    small += nodes[list[i].second].total;
  if (shown + 1 == list.size())
    print_line(out, small, deeper, texts[list[shown].first]);
  else if (shown < list.size())
    print_line(out, small, deeper, fmt::format("({} more)", list.size() - shown));
}

void call_tree::print(output &out, double least) const {
  if (nodes[0].total != 0)
    print_below(out, 0, 0, least);
}

void call_tree::print_folded(output &out) const {
  std::vector<std::string> lines;
  const auto walk = [&](const auto &self, uint32_t at, const std::string &before) -> void {
    if (nodes[at].own != 0)
      lines.push_back(fmt::format("{} {}", before, nodes[at].own));
    for (const auto &[name, index] : nodes[at].children) {
      std::string text = texts[name];
      std::replace(text.begin(), text.end(), ';', ':');
      if (!before.empty())
        text.insert(0, before + ";");
      self(self, index, text);
    }
  };
  walk(walk, 0, "");
  std::sort(lines.begin(), lines.end());
  for (const std::string &line : lines)
    out.print("{}\n", line);
}

} // namespace m9::tool
