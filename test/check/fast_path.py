#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fast_path.py LIBRARY GOLDEN: the instructions that malloc and free of a hot size execute, and those of what malloc goes
on with for a caller one step above a wrapper, against the golden table.

They run straight from the function's first instruction to its first return: every branch on the way is to something
cold. A change of the table is a decision, with its reason in the commit."""
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


def main():
    library, golden = sys.argv[1:]
    with open(golden, encoding="utf-8") as file:
        expected = dict(line.split() for line in file if line.strip() and not line.startswith("#"))
    found = {name: instructions(library, name) for name in expected}
    total = found["malloc"] + found["free"]
    print(found, "malloc and free", total)
    if total > 100 or any(found[name] != int(n) for name, n in expected.items()):
        raise SystemExit(f"expected {expected}, malloc and free at most 100 together")


main()
