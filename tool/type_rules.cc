// SPDX-License-Identifier: BSD-2-Clause
#include "tool/type_rules.h"

#include <algorithm>
#include <cerrno>
#include <map>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/rule_file.h"
#include "tool/error.h"
#include "tool/unique_fd.h"

namespace m9::tool {
namespace {

struct rule_set {
  std::string text;
  std::vector<rule> rules; // point into the text
};

void read_rules(rule_set &set, const std::string &path) {
  const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  ssize_t n = fd ? 1 : -1;
  while (n > 0 && set.text.size() <= rules_bytes_most)
    if ((n = ::read(fd.get(), buffer, sizeof buffer)) > 0)
      set.text.append(buffer, static_cast<size_t>(n));
  if (n < 0)
    throw error(fmt::format("{}: {}", printable(path), errno_text(errno)));
  if (set.text.size() > rules_bytes_most)
    throw error(fmt::format("{}: file too large", printable(path)));
  const rule_text text{set.text.data(), set.text.size()};
  rules_error wrong{};
  set.rules.resize(rules_parse(text, nullptr, wrong));
  if (wrong.what != nullptr)
    throw error(fmt::format("{}:{}:{}: {}", printable(path), wrong.line, wrong.column, wrong.what));
  rules_parse(text, set.rules.data(), wrong);
}

rule_text known(const std::string &text) { return {text.empty() ? nullptr : text.data(), text.size()}; }

// The name that a rule gives; empty: none does.
std::string name_for(const rule_set &set, const model &m, naming &names, const model_type &type) {
  if (type.module >= m.modules.size() || (type.flags & format::type_by_rule) != 0)
    return {};
  const bool by_file =
      std::any_of(set.rules.begin(), set.rules.end(), [](const rule &r) { return r.file.data != nullptr; });
  const std::string symbol = names.symbol_of(type);
  const std::string file = by_file ? names.looked_up(type).file : "";
  const rule *found = rules_match(set.rules.data(), static_cast<uint32_t>(set.rules.size()),
                                  {known(m.modules[type.module].path), known(symbol), known(file)});
  return found != nullptr && found->type.data != nullptr ? std::string(found->type.data, found->type.size) : "";
}

void take_in(model_type &to, model_type &from) {
  to.highuse = std::max(type_highuse(to), type_highuse(from)); // the least that both together can have had
  to.cells.insert(to.cells.end(), std::make_move_iterator(from.cells.begin()),
                  std::make_move_iterator(from.cells.end()));
  std::stable_sort(to.cells.begin(), to.cells.end(),
                   [](const model_cell &a, const model_cell &b) { return a.zone < b.zone; });
}

} // namespace

void type_rules_apply(model &m, naming &names, const std::string &path) {
  rule_set set;
  read_rules(set, path);
  std::map<std::string, size_t> ruled; // index in m.types
  for (size_t i = 0; i < m.types.size(); i++)
    if ((m.types[i].flags & format::type_by_rule) != 0)
      ruled.emplace(m.types[i].name, i);
  std::vector<bool> taken(m.types.size());
  for (size_t i = 0; i < m.types.size(); i++) {
    model_type &type = m.types[i];
    const std::string name = name_for(set, m, names, type);
    if (name.empty())
      continue;
    const auto [first, is_new] = ruled.emplace(name, i);
    if (is_new) {
      type.name = name;
      type.flags |= format::type_by_rule;
      type.module = format::no_module;
      type.offset = 0;
      type.chain = format::no_chain;
    } else {
      take_in(m.types[first->second], type);
      taken[i] = true;
    }
  }
  size_t kept = 0;
  for (size_t i = 0; i < m.types.size(); i++)
    if (!taken[i]) {
      if (kept != i)
        m.types[kept] = std::move(m.types[i]);
      kept++;
    }
  m.types.resize(kept);
}

} // namespace m9::tool
