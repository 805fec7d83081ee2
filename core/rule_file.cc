// SPDX-License-Identifier: BSD-2-Clause
#include "core/rule_file.h"

namespace m9 {
namespace {

// A line as it is read, word by word.
struct rule_line {
  const char *start, *end, *at;
  const char *word_start;

  rule_text word() {
    while (at != end && (*at == ' ' || *at == '\t'))
      at++;
    word_start = at;
    while (at != end && *at != ' ' && *at != '\t')
      at++;
    return {word_start, size_t(at - word_start)};
  }
};

bool word_is(rule_text word, const char *what) { return rule_same(word, {what, __builtin_strlen(what)}); }

// nullptr, or what is wrong with the word that was read last.
const char *name_parse(rule_line &line, rule &r) {
  r.type = line.word();
  if (r.type.size == 0)
    return "expected the name of a type";
  if (r.type.data[0] == '(')
    return "the name of a type does not begin with (";
  return r.type.size > rule_name_most ? "the name of a type has more than 100 bytes" : nullptr;
}

const char *conditions_parse(rule_line &line, rule &r) {
  bool any = false;
  for (rule_text word = line.word(); word.size != 0 || !any; word = line.word()) {
    rule_text *to = word_is(word, "module")   ? &r.module
                    : word_is(word, "symbol") ? &r.symbol
                    : word_is(word, "file")   ? &r.file
                                              : nullptr;
    if (!to)
      return "expected module, symbol or file";
    if (to->data)
      return "is given twice";
    if (to == &r.file && !r.type.data)
      return "a wrapper is not known by its file";
    *to = line.word();
    if (to->size == 0)
      return "expected a pattern";
    any = true;
  }
  return nullptr;
}

const char *line_parse(rule_line &line, rule &r, bool &empty) {
  for (const char *c = line.start; c != line.end; c++)
    if ((static_cast<unsigned char>(*c) < ' ' && *c != '\t') || *c == 0x7f) {
      line.word_start = c;
      return "a control character";
    }
  rule_text first = line.word();
  empty = first.size == 0 || first.data[0] == '#';
  if (empty)
    return nullptr;
  if (word_is(first, "wrapper"))
    return conditions_parse(line, r);
  if (!word_is(first, "type"))
    return "expected type or wrapper";
  const char *wrong = name_parse(line, r);
  return wrong ? wrong : conditions_parse(line, r);
}

// A later star takes over from an earlier one, so there is no search but the last one's.
bool glob_matches(rule_text pattern, rule_text text) {
  size_t p = 0, t = 0, resume_p = 0, resume_t = 0;
  bool star = false;
  while (t < text.size) {
    if (p < pattern.size && pattern.data[p] == '*') {
      star = true;
      resume_p = ++p;
      resume_t = t;
    } else if (p < pattern.size && (pattern.data[p] == '?' || pattern.data[p] == text.data[t])) {
      p++, t++;
    } else if (star) {
      p = resume_p;
      t = ++resume_t;
    } else {
      return false;
    }
  }
  while (p < pattern.size && pattern.data[p] == '*')
    p++;
  return p == pattern.size;
}

bool path_matches(rule_text pattern, rule_text path) {
  if (!pattern.data)
    return true;
  if (!path.data)
    return false;
  if (!__builtin_memchr(pattern.data, '/', pattern.size))
    for (size_t i = path.size; i-- > 0;)
      if (path.data[i] == '/')
        return glob_matches(pattern, {path.data + i + 1, path.size - i - 1});
  return glob_matches(pattern, path);
}

// With or without what compilers put behind the name (".part.0"); Rust's mangling has pairs of dots.
bool symbol_matches(rule_text pattern, rule_text symbol) {
  if (!pattern.data)
    return true;
  if (!symbol.data)
    return false;
  size_t end = 0;
  auto dot = [&symbol](size_t i) { return i < symbol.size && symbol.data[i] == '.'; };
  while (end < symbol.size && !(end > 0 && dot(end) && !dot(end + 1) && !dot(end - 1)))
    end++;
  return glob_matches(pattern, symbol) || glob_matches(pattern, {symbol.data, end});
}

} // namespace

uint32_t rules_parse(rule_text text, rule *rules, rules_error &error) {
  uint32_t count = 0, number = 0;
  error = {};
  for (const char *at = text.data, *stop = text.data + text.size; at != stop;) {
    auto *newline = static_cast<const char *>(__builtin_memchr(at, '\n', size_t(stop - at)));
    rule_line line{at, newline ? newline : stop, at, at};
    rule r{};
    bool empty = false;
    number++;
    const char *wrong = line_parse(line, r, empty);
    if (!wrong && !empty && count == rules_most) {
      wrong = "more than 1000 rules";
      line.word_start = line.start;
    }
    if (wrong) {
      error = {wrong, number, uint32_t(line.word_start - line.start) + 1};
      return 0;
    }
    if (!empty && rules)
      rules[count] = r;
    count += !empty;
    at = newline ? newline + 1 : stop;
  }
  return count;
}

const rule *rules_match(const rule *rules, uint32_t count, const rule_subject &subject) {
  for (const rule *r = rules; r != rules + count; r++)
    if (path_matches(r->module, subject.module) && symbol_matches(r->symbol, subject.symbol) &&
        path_matches(r->file, subject.file))
      return r;
  return nullptr;
}

} // namespace m9
