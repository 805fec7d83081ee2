// SPDX-License-Identifier: BSD-2-Clause
//
// The user's rules, as the library applies them: to each frame of a chain when it is first looked at, and to what a
// chain ends at. Read once, by the constructor, and never changed. What was charged before it ran moves to the types
// that rules name. Rules by source file are for the tool: here no file is known, so they match nothing.
#pragma once

#include "core/malloc_type.h"
#include "core/rule_file.h"

namespace m9 {

// Reads the file. Nothing changes where it cannot be used; then `error` says why, or `result` is a negated errno.
long rules_load(const char *path, rules_error &error);

extern uint32_t rules_count; // 0: there are none (i)

// The rule for code at a return address. `symbol`: as symbol_find() knows it, nullptr: none.
const rule *rule_for(const char *module_path, const char *symbol);
// The type that a rule names; nullptr: it names none, or there is no memory.
malloc_type *rule_type(const rule &r) M9_REQUIRES(malloc_mtx);
// That of a call site in a known module.
malloc_type *rule_type_of(uintptr_t caller, const char *module_path) M9_REQUIRES(malloc_mtx);

} // namespace m9
