// SPDX-License-Identifier: BSD-2-Clause
//
// JSON on its way to an output, piece by piece, since there may be many types. Members of the outermost object's arrays
// stand on lines of their own. Strings are what nlohmann's library makes of them; bytes that are no UTF-8 become
// U+FFFD.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "tool/model.h"
#include "tool/output.h"

namespace m9::tool {

// With its quotes.
std::string json_text(std::string_view text);

class json_writer {
public:
  explicit json_writer(output &to) : out(to) {}

  void begin_object() { begin('{'); }
  void end_object() { end('}'); }
  void begin_array() { begin('['); }
  void end_array() { end(']'); }
  json_writer &key(std::string_view name);
  void value(std::string_view text) { raw(json_text(text)); }
  void value(const char *text) { value(std::string_view(text)); }
  void value(const std::string &text) { value(std::string_view(text)); }
  void value(bool yes) { raw(yes ? "true" : "false"); }
  void value(std::integral auto number) { raw(fmt::format("{}", number)); }
  void value(double number); // one that JSON cannot say is null
  void member(std::string_view name, const auto &what) { key(name).value(what); }
  // Ends the text by a newline.
  void finish() { out.put("\n"); }

private:
  void begin(char bracket);
  void end(char bracket);
  void separate();
  void raw(std::string_view text);

  struct level {
    char bracket;
    bool any = false;
  };
  output &out;
  std::vector<level> open;
  bool after_key = false;
};

// The members that begin every verb's answer: which process it was.
void add_head(json_writer &json, const model_head &head);
// What a verb that wrote `file` says on standard output: whose, and how many of `member` and how many types it holds.
void say_written(const model &m, const std::string &file, std::string_view member, const auto &value) {
  output out = standard_output();
  json_writer json(out);
  json.begin_object();
  add_head(json, m);
  json.member("file", file);
  json.member(member, value);
  json.member("types", types_sorted(m).size());
  json.end_object();
  json.finish();
  out.finish();
}

} // namespace m9::tool
