// SPDX-License-Identifier: BSD-2-Clause
//
// libFuzzer target: any bytes as a file of rules, parsed as both users do, and held against names. What follows the
// first NUL byte, up to two more, are the names of a module, a symbol and a source file.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "core/rule_file.h"

namespace {

// In a block of exactly its size, so that a byte beyond it is a finding.
struct piece {
  std::unique_ptr<char[]> bytes;
  size_t size;
  piece(const char *data, size_t n) : bytes(new char[n]), size(n) {
    if (n != 0)
      std::memcpy(bytes.get(), data, n);
  }
  m9::rule_text text() const { return {bytes.get(), size}; }
};

piece next(const char *&at, const char *end) {
  const char *stop = at;
  while (stop != end && *stop != 0)
    stop++;
  piece p(at, size_t(stop - at));
  at = stop == end ? end : stop + 1;
  return p;
}

void check_text(const m9::rule_text &t, const piece &whole) {
  const char *start = whole.bytes.get();
  if (t.data && (t.size == 0 || t.data < start || t.data + t.size > start + whole.size))
    std::abort();
}

// What stands in every rule of a file that was taken.
void check_rule(const m9::rule &r, const piece &whole) {
  for (const m9::rule_text &t : {r.type, r.module, r.symbol, r.file})
    check_text(t, whole);
  if ((!r.module.data && !r.symbol.data && !r.file.data) || (!r.type.data && r.file.data))
    std::abort();
  if (r.type.data && (r.type.size > m9::rule_name_most || r.type.data[0] == '('))
    std::abort();
}

void check_error(const m9::rules_error &e, const piece &whole) {
  uint32_t lines = 1;
  for (size_t i = 0; i < whole.size; i++)
    lines += whole.bytes[i] == '\n';
  if (e.line < 1 || e.line > lines || e.column < 1 || e.column > whole.size + 1)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  const char *at = reinterpret_cast<const char *>(data), *end = at + size;
  const piece file = next(at, end), module = next(at, end), symbol = next(at, end), source = next(at, end);
  m9::rules_error error;
  const uint32_t count = rules_parse(file.text(), nullptr, error);
  if (error.what) {
    if (count != 0)
      std::abort();
    check_error(error, file);
    return 0;
  }
  if (count > m9::rules_most)
    std::abort();
  std::vector<m9::rule> rules(count);
  if (rules_parse(file.text(), rules.data(), error) != count || error.what)
    std::abort();
  for (const m9::rule &r : rules)
    check_rule(r, file);
  const m9::rule_subject known{module.text(), symbol.text(), source.text()};
  const m9::rule *found = rules_match(rules.data(), count, known);
  if (found && (found < rules.data() || found >= rules.data() + count))
    std::abort();
  // What is not known matches no pattern.
  const m9::rule *blind = rules_match(rules.data(), count, {known.module, {}, {}});
  if (blind && (blind->symbol.data || blind->file.data || found == nullptr || found > blind))
    std::abort();
  return 0;
}
