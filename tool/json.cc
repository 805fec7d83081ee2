// SPDX-License-Identifier: BSD-2-Clause
#include "tool/json.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace m9::tool {

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

json_writer &json_writer::key(std::string_view name) {
  separate();
  out.print("{}: ", json_text(name));
  after_key = true;
  return *this;
}

void json_writer::value(double number) { raw(std::isfinite(number) ? fmt::format("{}", number) : "null"); }

void json_writer::separate() {
  if (after_key || open.empty()) {
    after_key = false;
    return;
  }
  const bool own_line = open.size() == 2 && open.back().bracket == '[';
  if (open.back().any)
    out.put(own_line ? ",\n" : ", ");
  else if (own_line)
    out.put("\n");
  open.back().any = true;
}

void json_writer::begin(char bracket) {
  separate();
  out.put(std::string_view(&bracket, 1));
  open.push_back({bracket});
}

void json_writer::end(char bracket) {
  if (open.size() == 2 && bracket == ']' && open.back().any)
    out.put("\n");
  open.pop_back();
  out.put(std::string_view(&bracket, 1));
}

void json_writer::raw(std::string_view text) {
  separate();
  out.put(text);
}

void add_head(json_writer &json, const model_head &head) {
  json.member("program", head.program);
  json.member("pid", head.pid);
  json.member("mode", view_mode_name(head.mode));
}

} // namespace m9::tool
