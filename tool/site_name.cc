// SPDX-License-Identifier: BSD-2-Clause
#include "tool/site_name.h"

namespace m9::tool {

site_name site_name_of(const model_type &type) {
  site_name site;
  const size_t plus = type.name.rfind("+0x");
  if (plus == std::string::npos || type.name.front() == '(')
    return site;
  const std::string place = type.name.substr(0, plus);
  const size_t mark = place.find('!');
  site.module = place.substr(0, mark);
  if (mark != std::string::npos)
    site.function = place.substr(mark + 1);
  return site;
}

} // namespace m9::tool
