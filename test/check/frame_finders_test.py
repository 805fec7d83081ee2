#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What frame_finders.py finds wrong, and what it lets pass."""
import frame_finders

GOOD = """00000000000190e0 <malloc>:
   190e0:\tcmp    0x10f19(%rip),%rdi        # 2a000 <fast>
   190e7:\tmov    (%rsp),%rsi
   19120:\tjne    18930 <m9_walk_libc>
   19130:\tret"""


def with_line(text):
    return GOOD.replace("\tmov    (%rsp),%rsi", f"\t{text}")


assert frame_finders.complaints(GOOD) == (["malloc"], [])
assert frame_finders.complaints(GOOD.replace("m9_walk_libc", "other")) == ([], [])
for wrong in ("push   %rbx", "sub    $0x18,%rsp", "mov    %rdi,%rbp", "lea    0x8(%rsp),%rbp", "call   4010 <f>",
              "mov    %edi,%ebp", "call   18930 <m9_slow_libc>"):
    users, found = frame_finders.complaints(with_line(wrong))
    assert users == ["malloc"] and len(found) == 1 and wrong in found[0], (wrong, found)
