// SPDX-License-Identifier: BSD-2-Clause
//
// The step from a return address to its caller, read from the .eh_frame of the module that holds it. Takes no lock and
// allocates nothing; the module must stay loaded meanwhile (it does: the address is on a stack).
#pragma once

#include "shim/cfi.h"

namespace m9 {

// `function`: where the code around the address starts and ends, all of it readable; start 0 when that is unknown.
unwind_step unwind_find(uintptr_t return_address, unwind_function &function);

// Whether an address lies in the code of a loaded module and behind what can be a call. For any word.
bool unwind_follows_call(uintptr_t address);

// The table of the module that an address lies in. False: none that can be used.
bool unwind_table(uintptr_t address, cfi_table &table);

} // namespace m9
