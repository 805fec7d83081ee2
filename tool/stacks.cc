// SPDX-License-Identifier: BSD-2-Clause
#include "tool/stacks.h"

#include <fmt/format.h>

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

stacks stacks_of(const model &m, naming &names) {
  stacks found;
  for (const uint32_t i : types_sorted(m)) {
    found.samples.push_back({i, {static_cast<uint32_t>(found.places.size())}, figures_of(m, m.types[i])});
    found.places.push_back(place_of(m, names, m.types[i]));
  }
  return found;
}

} // namespace m9::tool
