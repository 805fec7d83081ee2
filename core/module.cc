// SPDX-License-Identifier: BSD-2-Clause
#include "core/module.h"

#include "core/live_index.h"
#include "core/meta.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {
namespace {

constexpr uint32_t page_modules = 32;
module *pages[modules_most / page_modules]; // (t)
std::atomic<uint32_t> count;                // (a) release when one is added

constexpr uint32_t jit_mappings_most = 64; // beyond, all JIT code is one module
uint32_t jit_mappings;                     // (t)

module *module_add() M9_REQUIRES(malloc_mtx) {
  uint32_t n = count.load(std::memory_order_relaxed);
  if (n == modules_most)
    return nullptr;
  auto *&page = pages[n / page_modules];
  if (!page)
    page = static_cast<module *>(meta_alloc(page_modules * sizeof(module)));
  if (!page)
    return nullptr;
  return page + n % page_modules;
}

uint32_t module_publish() M9_REQUIRES(malloc_mtx) {
  uint32_t number = count.fetch_add(1, std::memory_order_release); // pairs with modules_count
  live_module_changed(number);
  return number;
}

// Code that no loaded file contains: generated at run time. Each mapping is a module of its own, up to a number.
uint32_t jit_module(uintptr_t address) M9_REQUIRES(malloc_mtx) {
  mapping_facts mapping{};
  bool known = jit_mappings < jit_mappings_most && mapping_find(address, mapping);
  if (!known) {
    mapping.start = 0;
    mapping.end = 0;
  }
  for (uint32_t i = 0; i < modules_count(); i++) {
    module *m = module_get(i);
    if (m->jit && m->facts.start == mapping.start && m->facts.end == mapping.end)
      return i;
  }
  module *m = module_add();
  if (!m)
    return modules_none;
  text_buffer<32> name;
  name.add("(code)");
  if (known)
    name.put('#').number(++jit_mappings);
  m->facts.path = m->name = meta_string(name.c_str(), name.size());
  m->facts.start = m->facts.base = mapping.start;
  m->facts.end = mapping.end;
  m->jit = true;
  return m->name ? module_publish() : modules_none;
}

} // namespace

uint32_t modules_count() { return count.load(std::memory_order_acquire); }
module *module_get(uint32_t number) { return pages[number / page_modules] + number % page_modules; }

bool module_loaded(const module &m) {
  module_facts now;
  return !m.unloaded && !m.jit && module_find(m.facts.start, now) && now.base == m.facts.base &&
         now.end == m.facts.end && now.build_id_size == m.facts.build_id_size &&
         __builtin_memcmp(now.build_id, m.facts.build_id, m.facts.build_id_size) == 0;
}

bool module_was_unloaded(uintptr_t address) {
  for (uint32_t i = modules_count(); i-- > 0;) {
    const module *m = module_get(i);
    if (address >= m->facts.start && address < m->facts.end)
      return m->unloaded;
  }
  return false;
}

uint32_t module_number(uintptr_t address) {
  for (uint32_t i = modules_count(); i-- > 0;) {
    const module *m = module_get(i);
    if (!m->unloaded && address >= m->facts.start && address < m->facts.end)
      return i;
  }
  module_facts facts;
  if (!module_find(address, facts))
    return jit_module(address);
  module *m = module_add();
  if (!m)
    return modules_none;
  char program[4096];
  if (!facts.path[0] && link_read("/proc/self/exe", program, sizeof program))
    facts.path = program;
  m->facts = facts;
  m->facts.path = meta_string(facts.path, text_length(facts.path));
  m->unloaded = m->jit = false;
  if (!m->facts.path)
    return modules_none;
  m->name = text_base_name(m->facts.path);
  return module_publish();
}

} // namespace m9
