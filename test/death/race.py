#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""race.py PROGRAM TRIES: of TRIES simultaneous double frees by two threads all are caught, or at least the share that
README states as `N of 3,000 simultaneous double frees`."""
import os
import re
import resource
import sys

import harness


def promised():
    path = os.path.join(os.environ["MALLOC9_SOURCE"], "README.md")
    if not os.path.exists(path):
        return 3000
    with open(path, encoding="utf-8") as readme:
        match = re.search(r"([\d,]+) of 3,000\s+simultaneous\s+double\s+frees", readme.read())
    return int(match.group(1).replace(",", "")) if match else 3000


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if len(os.sched_getaffinity(0)) < 2:
        harness.skip("needs two CPUs")
    tries = int(sys.argv[2])
    result = harness.run_preloaded(sys.argv[1:3], timeout=300)
    print(result.stdout, end="")
    match = re.match(r"caught (\d+) of (\d+), other ends (\d+)", result.stdout)
    harness.equal(int(match.group(3)), 0, "children that ended in another way")
    caught = int(match.group(1))
    harness.check(caught * 3000 >= promised() * tries, f"caught {caught} of {tries}, promised {promised()} of 3000")
    lines = [line for line in result.stderr.splitlines() if line.startswith("malloc9: double free of 0x")]
    harness.equal(len(lines), caught, "lines on stderr")


main()
