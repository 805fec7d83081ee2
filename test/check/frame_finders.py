#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""frame_finders.py LIBRARY: what jumps to a frame finder (shim/frame_finder.h) leaves the stack and rbp as its caller
had them, and nothing calls one."""
import re
import subprocess
import sys

FINDER = re.compile(r"\b(?:j\w+|call\w*) +(?:[0-9a-f]+ )?<m9_(?:walk|slow)_")
CHANGES = re.compile(r"\s(push|pop|leave|enter|call)\w*\b|,%[re]?(sp|bp)$|,%bpl$")


def complaints(disassembly):
    """(functions that go on to a frame finder, instructions in them that would make its answer wrong)"""
    users, wrong = [], []
    for body in disassembly.split("\n\n"):
        if not FINDER.search(body):
            continue
        name = re.search(r"<(.+)>:", body).group(1)
        users.append(name)
        wrong += [f"{name}: {line.strip()}" for line in body.splitlines()[1:] if CHANGES.search(line)]
    return users, wrong


def main():
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", sys.argv[1]], capture_output=True, text=True,
                         check=True).stdout
    users, wrong = complaints(out)
    print(f"{len(users)} functions go on to frame finders")
    if len(users) < 5 or wrong:
        raise SystemExit("\n".join(wrong) or "expected malloc, __libc_malloc and the operators at least")


if __name__ == "__main__":
    main()
