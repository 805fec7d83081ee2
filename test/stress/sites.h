// SPDX-License-Identifier: BSD-2-Clause
//
// The call sites of the exactness program: each is a function of its own, exported and never inlined, so that the
// library's name for its type is that function's. Numbers 0 to count-1 are kept in the books.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sites {

constexpr uint32_t plain = 40;   // malloc, calloc, aligned and operator new, for normal flow
constexpr uint32_t resize = 8;   // realloc and reallocarray
constexpr uint32_t handler = 16; // for signal handlers
constexpr uint32_t fresh = 1000; // each is used once or a few times: new call sites for the handlers
constexpr uint32_t child = 12;   // used by forked children alone
constexpr uint32_t child_resize = 4;

constexpr uint32_t first_resize = plain;
constexpr uint32_t first_handler = first_resize + resize;
constexpr uint32_t first_fresh = first_handler + handler;
constexpr uint32_t first_child = first_fresh + fresh;
constexpr uint32_t first_child_resize = first_child + child;
constexpr uint32_t atfork_prepare = first_child_resize + child_resize;
constexpr uint32_t atfork_parent = atfork_prepare + 1;
constexpr uint32_t atfork_child = atfork_prepare + 2;
constexpr uint32_t count = atfork_prepare + 3;

extern const char *names[count]; // "MODULE!FUNCTION", once name_all was called

void name_all();
void *alloc(uint32_t site, size_t size);
void *change(uint32_t site, void *data, size_t size);  // `site` is one of the resize sites
void release(uint32_t site, void *data, uint32_t way); // by the call that fits what `site` called
bool zeroes(uint32_t site);
bool can_change(uint32_t site); // false for operator new's blocks

} // namespace sites
