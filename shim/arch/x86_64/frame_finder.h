// SPDX-License-Identifier: BSD-2-Clause
//
// From a return address to a call_frame (shim/call_frame.h), on the way out of a fast path: `name` is jumped to with
// the stack and rbp as they were when the exported function was called, and goes on to `target` with a call_frame
// behind its arguments, or in place of the return_address. Which registers these are, its two kinds know.
#pragma once

#include "shim/call_frame.h"

#define M9_FRAME_FINDER(name, target, cfa, rbp)                                                                        \
  asm(".text\n .p2align 4\n .globl " #name "\n .hidden " #name "\n .type " #name ",@function\n" #name ":\n"            \
      " leaq 8(%rsp),%" #cfa "\n movq %rbp,%" #rbp "\n jmp " #target "\n .size " #name ",.-" #name "\n");

// void *name(w, x, y, z) -> void *target(w, x, y, z, call_frame)
#define M9_FRAME_FINDER_FIFTH(name, target) M9_FRAME_FINDER(name, target, r8, r9)
// void *name(x, return_address) -> void *target(x, call_frame)
#define M9_FRAME_FINDER_SECOND(name, target) M9_FRAME_FINDER(name, target, rsi, rdx)
