// SPDX-License-Identifier: BSD-2-Clause
//
// The data of the page: columns with an element per type, in which texts are numbers of `words`. It lies in a script
// element that browsers do not run; a `<` is written as \u003c, so that no name can end the element.
#include <unordered_map>

#include "tool/json.h"
#include "tool/page.h"
#include "tool/stacks.h"

namespace m9::tool {
namespace {

class word_list {
public:
  uint32_t add(const std::string &word) {
    const auto [at, is_new] = index.emplace(word, static_cast<uint32_t>(words.size()));
    if (is_new)
      words.push_back(&at->first);
    return at->second;
  }
  void write(output &out) const {
    const char *before = "\"words\": [";
    for (const std::string *word : words) {
      out.print("{}{}", before, page_text(*word));
      before = ",\n";
    }
    out.put(words.empty() ? "\"words\": []" : "]");
  }
  static std::string page_text(const std::string &text) {
    std::string safe;
    for (const char c : json_text(text))
      c == '<' ? safe += "\\u003c" : safe += c;
    return safe;
  }

private:
  std::unordered_map<std::string, uint32_t> index;
  std::vector<const std::string *> words;
};

struct page_type {
  uint32_t index = 0; // in model::types
  uint32_t name = 0, module = 0, function = 0, file = 0, line = 0, sizes = 0;
  std::vector<uint32_t> frames;       // outermost first
  uint32_t caller = format::no_chain; // index in model::frames
  counts total, done;
  uint64_t high = 0;
  bool exact = false;
};

std::string module_of(const model &m, const model_type &type, const named_site &site) {
  if ((type.flags & format::type_by_rule) != 0)
    return "(named by rules)";
  if ((type.flags & format::type_is_declared) != 0)
    return "(declared by programs)";
  if (!site.module.empty())
    return site.module;
  if (type.module < m.modules.size())
    return m.modules[type.module].path.substr(m.modules[type.module].path.rfind('/') + 1);
  return "(no module)";
}

std::string sizes_of(const model &m, const model_type &type) {
  std::string text;
  for (const uint64_t size : type_sizes(m, type))
    text.append(text.empty() ? "" : ", ").append(size != 0 ? std::to_string(size) : "large");
  return text;
}

page_type type_of(const model &m, uint32_t index, naming &names, word_list &words) {
  const model_type &type = m.types[index];
  const named_site site = names.site_of(type);
  page_type t;
  t.index = index;
  t.name = words.add(names.shown(type));
  t.module = words.add(module_of(m, type, site));
  t.function = words.add(site.function);
  t.file = words.add(site.file);
  t.line = site.line;
  t.sizes = words.add(sizes_of(m, type));
  for (auto frame = site.inlined.rbegin(); frame != site.inlined.rend(); ++frame)
    t.frames.push_back(words.add(frame->function.empty() ? "(unknown)" : frame->function));
  t.total = type_total(type);
  t.done = operations(m, t.total, type_inherited(type));
  t.high = type_highuse(type);
  t.exact = type_highuse_is_exact(type);
  if (type.chain != format::no_chain)
    t.caller = m.frames[type.chain].caller;
  return t;
}

// The callers of all types, which share what they have in common on the outside: the functions of each frame, outermost
// first, and its caller, which comes before it.
class caller_list {
public:
  caller_list(const model &statistics, const std::vector<page_type> &types)
      : m(statistics), numbers(m.frames.size(), none) {
    for (const page_type &t : types)
      for (uint32_t f = t.caller; f != format::no_chain && numbers[f] == none; f = m.frames[f].caller)
        numbers[f] = 0;
    for (uint32_t &number : numbers)
      if (number != none)
        number = count++;
  }

  bool any() const { return count != 0; }
  int64_t number(uint32_t frame) const { return frame != format::no_chain ? int64_t{numbers[frame]} : -1; }

  void write(output &out, naming &names, word_list &words) const {
    std::string callers, modules, functions;
    for (uint32_t f = 0; f < m.frames.size(); f++) {
      if (numbers[f] == none)
        continue;
      const model_frame &frame = m.frames[f];
      const char *before = callers.empty() ? "" : ",";
      callers += fmt::format("{}{}", before, number(frame.caller));
      const std::string path = frame.module < m.modules.size() ? m.modules[frame.module].path : "(no module)";
      modules += fmt::format("{}{}", before, words.add(path.substr(path.rfind('/') + 1)));
      std::vector<uint32_t> inlined;
      const stack_place place = place_of_frame(m, names, frame);
      for (auto function = place.frames.rbegin(); function != place.frames.rend(); ++function)
        inlined.push_back(words.add(function->function));
      functions += fmt::format("{}[{}]", before, fmt::join(inlined, ","));
    }
    out.print("\"callers\": {{\"caller\": [{}],\n\"module\": [{}],\n\"functions\": [{}]}},\n", callers, modules,
              functions);
  }

private:
  static constexpr uint32_t none = UINT32_MAX;
  const model &m;
  std::vector<uint32_t> numbers; // of model::frames, in their order; none: of no type
  uint32_t count = 0;
};

template <typename what>
void write_column(output &out, const char *name, const std::vector<page_type> &types, what value) {
  out.print("\"{}\": [", name);
  const char *before = "";
  for (const page_type &t : types) {
    out.print("{}{}", before, value(t));
    before = ",";
  }
  out.put("],\n");
}

void write_types(output &out, const std::vector<page_type> &types, const caller_list &callers,
                 const page_growth *growth) {
  out.put("\"types\": {\n");
  write_column(out, "name", types, [](const page_type &t) { return t.name; });
  write_column(out, "module", types, [](const page_type &t) { return t.module; });
  write_column(out, "function", types, [](const page_type &t) { return t.function; });
  write_column(out, "file", types, [](const page_type &t) { return t.file; });
  write_column(out, "line", types, [](const page_type &t) { return t.line; });
  write_column(out, "sizes", types, [](const page_type &t) { return t.sizes; });
  write_column(out, "live", types, [](const page_type &t) { return t.total.inuse(); });
  write_column(out, "bytes", types, [](const page_type &t) { return t.total.memuse(); });
  write_column(out, "high", types, [](const page_type &t) { return t.high; });
  write_column(out, "exact", types, [](const page_type &t) { return t.exact ? 1 : 0; });
  write_column(out, "requests", types, [](const page_type &t) { return t.done.numallocs; });
  write_column(out, "frees", types, [](const page_type &t) { return t.done.numfrees; });
  if (callers.any())
    write_column(out, "caller", types, [&](const page_type &t) { return callers.number(t.caller); });
  if (growth != nullptr)
    write_column(out, "growth", types, [&](const page_type &t) { return growth->growth[t.index]; });
  out.put("\"frames\": [");
  const char *before = "";
  for (const page_type &t : types) {
    if (t.frames.empty())
      out.print("{}0", before);
    else
      out.print("{}[{}]", before, fmt::join(t.frames, ","));
    before = ",";
  }
  out.put("]},\n");
}

void write_line(output &out, const page_growth::line &line) {
  const char *open = "[";
  for (const auto &[point, bytes] : line.changes) {
    out.print("{}{},{}", open, point, bytes);
    open = ",";
  }
  out.put(line.changes.empty() ? "[]" : "]");
}

void write_growth(output &out, const page_growth &growth, const std::vector<page_type> &types, size_t count) {
  std::vector<uint32_t> position(count, UINT32_MAX); // of model::types in the page's
  for (uint32_t i = 0; i < types.size(); i++)
    position[types[i].index] = i;
  std::vector<const page_growth::line *> lines;
  for (const auto &line : growth.lines)
    if (position[line.type] != UINT32_MAX)
      lines.push_back(&line);
  out.print("\"growth\": {{\"samples\": {}, \"time\": [{:.4f}], \"total\": [{}],\n\"types\": [", growth.samples,
            fmt::join(growth.seconds, ","), fmt::join(growth.total, ","));
  const char *before = "";
  for (const auto *line : lines) {
    out.print("{}{}", before, position[line->type]);
    before = ",";
  }
  out.put("],\n\"marks\": [");
  before = "";
  for (const auto &[seconds, name] : growth.marks) {
    out.print("{}[{:.6f},{}]", before, seconds, word_list::page_text(name));
    before = ",";
  }
  out.put("],\n\"series\": [");
  before = "";
  for (const auto *line : lines) {
    out.put(before);
    write_line(out, *line);
    before = ",\n";
  }
  out.put("]},\n");
}

void write_head(output &out, const std::string &file, const model &m) {
  const auto text = word_list::page_text;
  out.print("{{\"head\": {{\"program\": {}, \"command\": {}, \"pid\": {}, \"mode\": {}, \"time_ms\": {}, "
            "\"version\": {}, \"file\": {}}},\n\"notes\": [",
            text(m.program), text(m.command), m.pid, text(view_mode_name(m.mode)), m.time_ns / 1000000,
            text(M9_VERSION), text(file));
  const char *before = "";
  for (const model_note &note : m.notes) {
    out.print("{}[{}, {}]", before, text(note.name), note.value);
    before = ", ";
  }
  out.put("],\n");
}

} // namespace

void page_write(output &out, const std::string &file, const model &m, naming &names, const page_growth *growth) {
  word_list words;
  std::vector<page_type> types;
  for (const uint32_t i : types_sorted(m))
    types.push_back(type_of(m, i, names, words));
  out.put(page_before_data);
  write_head(out, file, m);
  const caller_list callers(m, types);
  write_types(out, types, callers, growth);
  if (callers.any())
    callers.write(out, names, words);
  if (growth != nullptr)
    write_growth(out, *growth, types, m.types.size());
  words.write(out);
  out.put("}");
  out.put(page_after_data);
}

} // namespace m9::tool
