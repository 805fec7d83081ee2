#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""stress.py PROGRAM [ARGS...]: runs a stress program that prints `SITE ALLOCS FREES` for its own call sites; the
library's counts equal them, no block was spoiled, and the audit at exit says ok.

Lines `NAME VALUE` are limits: growth is at most 8,192 KiB; what else is printed is for the log. The program that loses
items on purpose prints no site and is run without the audit."""
import os
import sys

import harness

MAX_GROWTH_KIB = 8192


def counts_of(stats, name):
    entries = [entry for entry in stats["types"] if entry["type"].startswith(name + "+0x")]
    harness.equal(len(entries), 1, f"types named {name}")
    return [entries[0]["numallocs"], entries[0]["numfrees"]]


def main():
    program = os.path.basename(sys.argv[1])
    exact = program != "jump_out"
    command = sys.argv[1:]
    if os.environ.get("MALLOC9_QUICK"):
        command = [str(int(word) // 3) if word.isdigit() else word for word in command]
    result = harness.run_preloaded(command, conf={"audit": "exit"} if exact else {}, timeout=600)
    print(result.stdout, end="")
    sites = 0
    for line in result.stdout.splitlines():
        name, *values = line.split()
        if len(values) == 2:
            sites += 1
            harness.equal(counts_of(result.stats, f"{program}!{name}"), [int(value) for value in values], name)
        elif name == "growth":
            harness.check(int(values[0]) <= MAX_GROWTH_KIB, f"RSS grew by {values[0]} KiB")
        elif name == "spoiled":
            harness.equal(int(values[0]), 0, "items with two owners")
    harness.check(sites > 0 or not exact, "the program printed no call site")
    if exact:
        harness.check("malloc9: audit: ok: " in result.stderr, f"no good audit: {result.stderr}")
        harness.check("FAILED" not in result.stderr, result.stderr)


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
