// SPDX-License-Identifier: BSD-2-Clause
#include "tool/check_report.h"

#include <algorithm>

#include "tool/columns.h"
#include "tool/error.h"
#include "tool/json.h"

namespace m9::tool {
namespace {

size_t broken_count(const std::vector<verdict> &verdicts) {
  return static_cast<size_t>(
      std::count_if(verdicts.begin(), verdicts.end(), [](const verdict &v) { return !v.kept(); }));
}

std::string limit_text(const verdict &v) {
  if (v.least == v.most)
    return fmt::format("= {}", v.most);
  if (v.least != 0 && v.most != UINT64_MAX)
    return fmt::format("{}..{}", v.least, v.most);
  return v.least != 0 ? fmt::format(">= {}", v.least) : fmt::format("<= {}", v.most);
}

// In XML 1.0 most control characters cannot be said at all.
std::string xml_text(const std::string &text) {
  std::string out;
  for (const char c : printable(text))
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  return out;
}

// As GitHub's workflow commands want it; `property`: also what ends a property.
std::string annotation_text(const std::string &text, bool property) {
  std::string out;
  for (const char c : text)
    if (c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ',')))
      out += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    else
      out += c;
  return out;
}

} // namespace

void print_verdicts(output &out, const std::vector<verdict> &verdicts) {
  const size_t broken = broken_count(verdicts);
  if (broken != 0) {
    columns table({"Broken", "Figure", "Limit", "Measured"});
    for (const verdict &v : verdicts)
      if (!v.kept()) {
        table.add({v.subject, v.figure, limit_text(v), measurement_text(v.measured)});
        for (const std::string &who : v.worst)
          table.add({"  " + who});
      }
    table.print(out);
  }
  const std::string line = fmt::format("{} of {} limits broken", broken, verdicts.size());
  out.print("{}\n", broken != 0 ? in_red(line) : in_green(line));
}

void print_verdicts_json(output &out, const model_head &head, const std::vector<verdict> &verdicts) {
  json_writer json(out);
  json.begin_object();
  add_head(json, head);
  json.member("broken", broken_count(verdicts));
  json.key("limits").begin_array();
  for (const verdict &v : verdicts) {
    json.begin_object();
    json.member("subject", v.subject);
    json.member("figure", v.figure);
    json.member("kept", v.kept());
    json.member("measured", v.measured.value.least);
    if (v.measured.value.most != v.measured.value.least)
      json.member("measured_most", v.measured.value.most);
    json.member("exact", v.measured.exact());
    if (v.least != 0)
      json.member("min", v.least);
    if (v.most != UINT64_MAX)
      json.member("max", v.most);
    json.member("matched", v.matched);
    json.key("worst").begin_array();
    for (const std::string &who : v.worst)
      json.value(who);
    json.end_array();
    json.member("file", v.file);
    if (v.line != 0)
      json.member("line", v.line);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  json.finish();
}

void print_annotations(output &out, const std::vector<verdict> &verdicts) {
  for (const verdict &v : verdicts)
    if (!v.kept())
      out.print("::error file={}{},title={}::{}\n", annotation_text(v.file, true),
                v.line != 0 ? fmt::format(",line={}", v.line) : "",
                annotation_text("malloc9: " + v.figure + " of " + v.subject, true),
                annotation_text(verdict_text(v), false));
}

void print_junit(output &out, const model_head &head, const std::vector<verdict> &verdicts) {
  out.put("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
  out.print(
      "<testsuites>\n<testsuite name=\"malloc9 check\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\">\n",
      verdicts.size(), broken_count(verdicts));
  for (const verdict &v : verdicts) {
    out.print(R"(<testcase classname="{}" name="{}")", xml_text("malloc9." + head.program),
              xml_text(v.subject + " " + v.figure));
    if (v.kept())
      out.put("/>\n");
    else
      out.print("><failure message=\"{}\" type=\"{}\">{}</failure></testcase>\n", xml_text(verdict_text(v)),
                xml_text(v.figure), xml_text(verdict_text(v)));
  }
  out.put("</testsuite>\n</testsuites>\n");
}

} // namespace m9::tool
