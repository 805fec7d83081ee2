// SPDX-License-Identifier: BSD-2-Clause
//
// The books of the hand-made program: how many allocations each function asked for, by its name. Nothing here
// allocates.
#pragma once

#include <cstddef>

#define NOINLINE __attribute__((noinline))

extern "C" {

void count(const char *function, long allocations); // exactly these carry the function's name
// No chain leads through `wrapper`: the allocations carry its name or `function`'s.
void count_either(const char *function, const char *wrapper, long allocations);
void keep(void *p); // frees it where the compiler cannot see it, so that no pair of calls is left out
void touch(char *bytes, size_t size);

// made_wrappers.cc: wrappers by their names
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);
void *g_malloc(size_t size);
char *g_strdup_printf(const char *format, ...);
void *zmalloc(size_t size);
void *deep7_malloc(size_t size); // seven wrappers
void *alloca_malloc(size_t size);
void *array_malloc(size_t size);
void *aligned_frame_malloc(size_t size);
void *wide_frame_malloc(size_t size);
void *big_frame_malloc(size_t size);
void *huge_frame_malloc(size_t size); // its frame is larger than a step may be
void *recursive_malloc(size_t size, int depth);
void *called_back_malloc(size_t size, void *(*allocate)(size_t));
void *jumping_malloc(size_t size, void *buffer); // longjmp when there is a buffer
void *throwing_malloc(size_t size, bool fail);
void *first_malloc(size_t size); // first called by code that no module holds

// made_code.S: code that its tables do not describe, or describe wrongly
void *nocfi_malloc(size_t size);                            // no table, calls malloc
void *nocfi_user(size_t size);                              // no table, calls xmalloc
void *nocfi_register_user(size_t size, size_t rbp);         // no table, with anything in rbp, calls alloca_malloc
void *liar_near_malloc(size_t size);                        // CFA too low
void *liar_far_malloc(size_t size);                         // CFA 4 KiB too high
void *liar_rbp_malloc(size_t size, size_t rbp);             // CFA by rbp, which holds anything
void *liar_saved_malloc(size_t size);                       // rbp saved where it is not
void on_stack(void *top, void (*function)(void *), void *); // calls with another stack that nobody was told of

void stacks(); // made_stacks.cc
}
