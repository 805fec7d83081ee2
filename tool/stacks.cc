// SPDX-License-Identifier: BSD-2-Clause
#include "tool/stacks.h"

#include <unordered_map>

#include <fmt/format.h>

#include "tool/tree.h"

namespace m9::tool {
namespace {

stack_place place_of(const model &m, naming &names, const model_type &type) {
  const named_site site = names.site_of(type);
  stack_place place{type.module, 0, site.inlined};
  if (type.module < m.modules.size() && type.offset != 0)
    place.address = m.modules[type.module].base + type.offset;
  if (place.frames.empty())
    place.frames.push_back({site.function.empty() ? type.name : site.function, site.file, site.line});
  for (source_frame &frame : place.frames)
    if (frame.function.empty())
      frame.function = fmt::format("({})", site.module);
  return place;
}

} // namespace

stack_place place_of_frame(const model &m, naming &names, const model_frame &frame) {
  stack_place place{frame.module, 0, {}};
  if (frame.module < m.modules.size())
    place.address = m.modules[frame.module].base + frame.offset;
  if (names.options().source != name_source::dump)
    place.frames = names.frames(frame.module, frame.offset);
  std::erase_if(place.frames, [](const source_frame &f) { return f.function.empty(); });
  if (place.frames.empty())
    place.frames.push_back({frame_place(m, frame), "", 0});
  return place;
}

stacks stacks_of(const model &m, naming &names) {
  stacks found;
  std::unordered_map<uint32_t, uint32_t> places; // by frame
  const auto add = [&](stack_place place) {
    found.places.push_back(std::move(place));
    return static_cast<uint32_t>(found.places.size() - 1);
  };
  for (const uint32_t i : types_sorted(m)) {
    const model_type &type = m.types[i];
    found.samples.push_back({i, {}, figures_of(m, type)});
    std::vector<uint32_t> &stack = found.samples.back().places;
    // The innermost frame is where the type is, which has a name of its own.
    stack.push_back(add(place_of(m, names, type)));
    for (uint32_t f = type.chain; f != format::no_chain; f = m.frames[f].caller) {
      if (f == type.chain)
        continue;
      const auto [at, is_new] = places.try_emplace(f, 0);
      if (is_new)
        at->second = add(place_of_frame(m, names, m.frames[f]));
      stack.push_back(at->second);
    }
  }
  return found;
}

} // namespace m9::tool
