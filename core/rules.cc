// SPDX-License-Identifier: BSD-2-Clause
#include "core/rules.h"

#include "core/cell.h"
#include "core/heap.h"
#include "core/meta.h"
#include "core/module.h"
#include "core/site.h"
#include "shim/modules.h"
#include "shim/pages.h"
#include "shim/symbols.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {

uint32_t rules_count;

namespace {

const rule *rules;         // (i)
malloc_type **rules_types; // by rule, made when first needed; kept by the first rule of that name (t)

rule_text text_of(const char *s) { return s ? rule_text{s, text_length(s)} : rule_text{}; }

// What was charged before there were rules.
void types_take_over() M9_REQUIRES(malloc_mtx) {
  for (malloc_type *t = malloc_type_next(nullptr); t; t = malloc_type_next(t)) {
    malloc_type_internal &i = *t->ks_handle;
    i.ends_chains = false;
    if (i.address == 0 || i.gone || i.module == modules_none)
      continue;
    malloc_type *named = rule_type_of(i.address, module_get(i.module)->facts.path);
    if (!named)
      continue;
    cells_move(*t, *named);
    i.gone = i.named = true;
  }
  sites_forget_all(); // chains may end elsewhere now
}

bool rules_take(rule_text text, rules_error &error) M9_REQUIRES(malloc_mtx) {
  uint32_t count = rules_parse(text, nullptr, error);
  if (count == 0)
    return true;
  auto *list = static_cast<rule *>(meta_alloc(count * sizeof(rule)));
  rules_types = static_cast<malloc_type **>(meta_alloc(count * sizeof(malloc_type *)));
  if (!list || !rules_types)
    return false;
  rules_parse(text, list, error);
  rules = list;
  rules_count = count;
  types_take_over();
  return true;
}

} // namespace

long rules_load(const char *path, rules_error &error) {
  constexpr long no_memory = -12;
  heap_enter();
  error = {};
  uintptr_t pages = pages_map(rules_bytes_most);
  if (!pages)
    return no_memory;
  auto *text = reinterpret_cast<char *>(pages);
  long size = file_read(path, text, rules_bytes_most);
  bool good = true;
  if (size > 0) {
    locked guard(malloc_mtx);
    good = rules_take({text, size_t(size)}, error);
  }
  if (rules_count == 0)
    pages_unmap(pages, rules_bytes_most);
  return !good ? no_memory : size < 0 ? size : 0;
}

const rule *rule_for(const char *module_path, const char *symbol) {
  return rules_match(rules, rules_count, {text_of(module_path), text_of(symbol), {}});
}

malloc_type *rule_type(const rule &r) {
  if (!r.type.data)
    return nullptr;
  uint32_t first = 0;
  while (!rules[first].type.data || !rule_same(rules[first].type, r.type))
    first++;
  auto *&type = rules_types[first];
  if (!type)
    type = malloc_type_make_named(r.type.data, r.type.size);
  return type;
}

malloc_type *rule_type_of(uintptr_t caller, const char *module_path) {
  static symbol found; // large; under the lock
  module_facts module;
  bool known = module_find(caller, module) && symbol_find(module, caller - 1, found);
  const rule *r = rule_for(module_path, known ? found.name : nullptr);
  return r ? rule_type(*r) : nullptr;
}

} // namespace m9
