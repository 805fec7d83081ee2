// SPDX-License-Identifier: BSD-2-Clause
//
// Pointers that must not be given to free, realloc or malloc_usable_size: found out here, off every fast path, and
// stopped with one line that says what is known. `call` is the name of the function the program called.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shim/text.h"

namespace m9 {

// True when p lies in libc's own heap and looks like a chunk of it (given out to a library loaded with RTLD_DEEPBIND),
// so that libc may have it (libc_call).
bool foreign_chunk(const void *p);

// Adds the name of a tag's type, with what symbols give, as in the table. Takes its time, and malloc_mtx.
using misuse_line = text_buffer<900>;
void misuse_add_type(misuse_line &text, unsigned zone, uint16_t tag);

[[noreturn]] void misuse(const void *p, const char *call);

} // namespace m9
