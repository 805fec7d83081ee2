#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""late_start.py: without a report in MALLOC9_CONF the heap begins at the first allocation, by the options all the same."""
import os
import re
import subprocess

from harness import check, equal

PROGRAM = os.path.join(os.environ["MALLOC9_FAULTS"], "late_start")


def run(case, conf):
    environment = dict(os.environ, LD_PRELOAD=os.environ["MALLOC9_LIB"])
    environment.pop("MALLOC9_CONF", None)
    if conf:
        environment["MALLOC9_CONF"] = conf
    result = subprocess.run([PROGRAM, case], env=environment, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    equal(result.returncode, 0, f"status of {case}")
    head = re.search(r"^malloc9: late_start \(pid \d+\), (.*), \d+ types, ", result.stderr, re.M)
    check(head, f"no table in {result.stderr!r}")
    row = re.search(r"^late_start!late_site\+0x[0-9a-f]+ +(\d+) +\d+K +(?:>=)?\d+K +(\d+) +112$", result.stderr, re.M)
    check(row, f"no row of late_site in {result.stderr!r}")
    return head[1], int(row[1]), int(row[2])


def main():
    # The child of vfork counts for the process whose memory it has; that of fork for itself.
    for case, inuse, requests in ("none", 1000, 1000), ("vfork", 1300, 1600), ("fork", 1000, 1000):
        for conf, mode in ("", "rseq"), ("rseq:false", "fallback: MALLOC9_CONF says rseq:false"):
            equal(run(case, conf), (mode, inuse, requests), f"{case} with {conf!r}")


main()
