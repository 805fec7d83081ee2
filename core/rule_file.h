// SPDX-License-Identifier: BSD-2-Clause
//
// The file of rules that MALLOC9_CONF=types:FILE and `malloc9 stat --types FILE` read: which sites are one type, and
// which functions are wrappers. One rule a line, the first that matches wins; doc/libmalloc9.3 has the format.
// Freestanding, allocates nothing: rules point into the text, which must outlive them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9 {

struct rule_text {
  const char *data; // nullptr: not given, not known
  size_t size;
};

// Patterns: `*` stands for any text, `?` for one byte. Those for files are held against the base name unless they have
// a slash.
struct rule {
  rule_text type; // the name that it gives; nullptr: what it matches is a wrapper
  rule_text module, symbol, file;
};

constexpr uint32_t rules_most = 1000;
constexpr size_t rule_name_most = 100;           // bytes of a type's name
constexpr size_t rules_bytes_most = 1024 * 1024; // of a file

// `what` is null if all is well; line and column (in bytes) count from 1.
struct rules_error {
  const char *what;
  uint32_t line, column;
};

// How many rules the text has; fills `rules` with them unless it is nullptr.
uint32_t rules_parse(rule_text text, rule *rules, rules_error &error);

// What is known of a site: path of its module, symbol as it stands there (mangled), path of its source file.
struct rule_subject {
  rule_text module, symbol, file;
};

// The first rule all of whose patterns match; nullptr: none. What is not known matches no pattern.
const rule *rules_match(const rule *rules, uint32_t count, const rule_subject &subject);

constexpr bool rule_same(rule_text a, rule_text b) {
  return a.size == b.size && __builtin_memcmp(a.data, b.data, a.size) == 0;
}

} // namespace m9
