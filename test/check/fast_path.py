#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fast_path.py LIBRARY GOLDEN: the instructions that malloc and free of a hot size execute, against the golden table.

They run straight from the function's first instruction to its first return: every branch on the way is to something
cold. A change of the table is a decision, with its reason in the commit.

Also: what jumps to a frame finder (shim/frame_finder.h) leaves the stack and rbp as its caller had them."""
import re
import subprocess
import sys


def instructions(library, name):
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", f"--disassemble={name}", library],
                         capture_output=True, text=True, check=True).stdout
    body = out[out.index(f"<{name}>:\n"):].splitlines()[1:]
    count = 0
    for line in body:
        match = re.match(r"\s+[0-9a-f]+:\s+(\S+)", line)
        if not match:
            continue
        if match.group(1).startswith("call"):
            raise SystemExit(f"{name}: a call on the fast path: {line.strip()}")
        count += 1
        if match.group(1).startswith("ret"):
            return count
    raise SystemExit(f"{name}: no return found")


def frame_finder_users(library):
    """The functions that jump to one, and the instructions in them that would make its answer wrong."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], capture_output=True, text=True,
                         check=True).stdout
    users, bad = [], []
    for body in out.split("\n\n"):
        if not re.search(r"\bj\w+ +[0-9a-f]+ <m9_(walk|slow)_", body):
            continue
        name = re.search(r"<(.+)>:", body).group(1)
        users.append(name)
        bad += [f"{name}: {line.strip()}" for line in body.splitlines()[1:]
                if re.search(r"\s(push|pop|leave|enter|call)|(%[re]?(sp|bp)|%bpl)$", line)]
    return users, bad


def main():
    library, golden = sys.argv[1:]
    with open(golden, encoding="utf-8") as file:
        expected = dict(line.split() for line in file if line.strip() and not line.startswith("#"))
    found = {name: instructions(library, name) for name in expected}
    users, bad = frame_finder_users(library)
    if len(users) < 5 or bad:
        raise SystemExit(f"{len(users)} functions jump to frame finders; wrong in them: {bad}")
    total = sum(found.values())
    print(found, "total", total)
    if total > 100 or any(found[name] != int(n) for name, n in expected.items()):
        raise SystemExit(f"expected {expected}, at most 100 together")


main()
