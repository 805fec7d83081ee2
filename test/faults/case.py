#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""case.py PROGRAM CASE [KEY:VALUE...]: runs one case of a fault program under the library; the statistics equal what
it printed of its own call sites, the table has the notes that it named, and the audit at exit says ok."""
import os
import re
import sys

import harness


def check_site(stats, program, words):
    several = words[0] == "sum"
    name, allocs, frees = words[1:] if several else words
    full = name if "!" in name else f"{program}!{name}"
    entries = [entry for entry in stats["types"] if entry["type"].startswith(full + "+0x")]
    harness.check(several or len(entries) == 1 or (allocs == "0" and not entries), f"{len(entries)} types of {full}")
    got = [sum(entry[field] for entry in entries) for field in ("numallocs", "numfrees")]
    harness.equal(got, [int(allocs), int(frees)], full)


def check_size(stats, words):
    """`size SIZE ALLOCS FREES`: of all types that have items of this size alone, together."""
    entries = [entry for entry in stats["types"] if entry["sizes"] == [int(words[1])]]
    got = [sum(entry[field] for entry in entries) for field in ("numallocs", "numfrees")]
    harness.equal(got, [int(words[2]), int(words[3])], f"types with items of {words[1]} bytes alone")


def main():
    program = os.path.basename(sys.argv[1])
    conf = dict(word.split(":", 1) for word in sys.argv[3:])
    result = harness.run_preloaded(sys.argv[1:3], conf={"audit": "exit", "print": "exit", **conf}, check_rc=None)
    print(result.stdout, end="")
    if result.rc == harness.SKIP:
        harness.skip(result.stdout.strip())
    harness.equal(result.rc, 0, f"status, with stderr:\n{harness.tail(result.stderr)}\n")
    for line in result.stdout.splitlines():
        words = line.split()
        if words[0] == "note":
            harness.check(f"malloc9: {line.replace('note', 'note:', 1)}\n" in result.stderr,
                          f"no {line!r} in:\n{harness.tail(result.stderr)}")
        elif words[0] == "types":
            harness.check(len(result.types) <= int(words[1]), f"{len(result.types)} types")
            harness.check(result.total("numallocs") >= int(words[2]), "not all were counted")
        elif words[0] == "size":
            check_size(result.stats, words)
        elif re.fullmatch(r"(sum )?\S+ \d+ \d+", line):
            check_site(result.stats, program, words)
    harness.check(re.search(r"^malloc9: audit: ok: ", result.stderr, re.M), f"no good audit:\n{result.stderr[-1000:]}")
    harness.check(f"malloc9: {program} (pid {result.pid}), " in result.stderr, "no table")


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
