#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""exactness.py PROGRAM OPERATIONS CHILDREN RUNS [KIB]: the library's statistics equal the program's own books; with KIB
in so much address space."""
import glob
import json
import os
import resource
import sys
import tempfile

import harness

FIELDS = ("numallocs", "numfrees", "memalloced", "memfreed")
WORKERS = 8


def by_function(stats, modules):
    """{"module!function": [numallocs, numfrees, memalloced, memfreed]} of the program's own call sites."""
    found = {}
    for entry in stats["types"]:
        name = entry["type"].rsplit("+0x", 1)[0]
        if name.split("!")[0] not in modules:
            continue
        harness.check(name not in found, f"{name} has two types")
        found[name] = [entry[field] for field in FIELDS]
        for field in FIELDS:
            harness.equal(sum(cpu[field] for cpu in entry["percpu"]), entry[field], f"{name}: {field} over all CPUs")
        harness.equal(entry["inuse"], entry["numallocs"] - entry["numfrees"], f"{name}: inuse")
        harness.equal(entry["memuse"], entry["memalloced"] - entry["memfreed"], f"{name}: memuse")
    return found


def read_books(path):
    with open(path, encoding="ascii") as file:
        books = json.load(file)
    harness.equal(books["failures"], 0, f"{path}: failures")
    return books


def compare(name, want, got, wrong):
    if got != want:
        wrong.append(f"{name}: library {got}, program {want}")


def check_parent(stats, books):
    sites = books["sites"]
    found = by_function(stats, {name.split("!")[0] for name in sites})
    wrong = []
    for name, want in sites.items():
        compare(name, want, found.pop(name, [0, 0, 0, 0]), wrong)
    for name in found:
        wrong.append(f"{name}: not a call site of the program's books")
    totals = [sum(counts[i] for counts in sites.values()) for i in range(4)]
    harness.check(not wrong, f"{len(wrong)} of {len(sites)} sites differ:\n" + "\n".join(wrong[:20]))
    harness.check(totals[0] > 0 and totals[1] > 0, "nothing was counted")
    return totals


def check_child(stats, books):
    """A child's own sites are exact; what it took over may be off by one operation for each worker. With counters in a
    file that goes for fork and _Fork; by a raw clone a child takes over what its parent did since, too."""
    sites = books["sites"]
    found = by_function(stats, {name.split("!")[0] for name in sites})
    wrong, off = [], [0, 0]
    own_allocs = 0
    for name, want in sites.items():
        got = found.get(name, [0, 0, 0, 0])
        if "site_child" in name or "atfork_alloc" in name:
            compare(name, want, got, wrong)
            own_allocs += want[0]
        else:
            off[0] += abs(got[0] - want[0])
            off[1] += abs(got[1] - want[1])
    harness.check(not wrong, f"child by {books['how']}: {len(wrong)} sites differ:\n" + "\n".join(wrong[:20]))
    harness.check(own_allocs > 0, "the child did nothing")
    inexact = books["how"] == "clone" and "MALLOC9_STATS" in os.environ
    harness.check(inexact or max(off) <= WORKERS, f"child by {books['how']}: took over counts that are off by {off}")


def run(program, operations, children, seed, limit):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "books")
        result = harness.run_preloaded([program, path, operations, children, seed], conf={"audit": "exit"},
                                       timeout=1500, require=limit is None, preexec_fn=limit)
        harness.check_in_use(result.stats)
        audits = [line for line in result.stderr.splitlines() if line.startswith("malloc9: audit: ok: ")]
        totals = check_parent(result.stats, read_books(path))
        by_pid = {stats["pid"]: stats for stats in result.children}
        files = glob.glob(path + ".*")
        for file in files:
            pid = int(file.rsplit(".", 1)[1])
            harness.check(pid in by_pid, f"no dump of child {pid} ({read_books(file)['how']})")
            check_child(by_pid[pid], read_books(file))
        if children > 0:
            harness.check(len(files) >= min(children, 3), f"only {len(files)} children")
        harness.equal(len(audits), 1 + len(files), f"audits that said ok in:\n{result.stderr}\n")
        print(f"seed {seed}: {result.stdout.strip()}; {len(files)} children; "
              f"{totals[0]} allocs, {totals[1]} frees, {totals[2]} bytes, {totals[3]} freed: all equal", flush=True)


def main():
    program, operations, children, runs = sys.argv[1], *map(int, sys.argv[2:5])
    if os.environ.get("MALLOC9_QUICK"):
        operations //= 3
    limit = None
    if len(sys.argv) > 5:
        size = int(sys.argv[5]) << 10

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (size, size))

    for seed in range(1, runs + 1):
        run(program, operations, children, seed, limit)


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
