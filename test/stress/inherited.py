#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""inherited.py PROGRAM [KIB]: what processes inherited at a fork is told apart from what they did: in the dump of each,
and in the merged one of `malloc9 run --children`, all figures equal the program's own. KIB limits the address space."""
import collections
import os
import resource
import subprocess
import sys
import tempfile

import harness
from harness import check, equal

KEYS = ("numallocs", "numfrees", "memalloced", "memfreed")
PROCESSES = 11


def limit():
    if len(sys.argv) > 2:
        resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) * 1024,) * 2)


def books_of(stdout):
    """By pid, by site: (what was inherited, what was counted in all)."""
    books = collections.defaultdict(dict)
    for line in stdout.splitlines():
        pid, site, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        check(site not in books[int(pid)], f"{pid} reported twice")
        books[int(pid)][site] = numbers[:4], numbers[4:]
    equal(len(books), PROCESSES, "processes")
    return books


def site_of(stats, site):
    found = [entry for entry in stats["types"] if entry["type"].startswith(f"inherited!{site}+0x")]
    check(len(found) <= 1, f"{len(found)} types of {site}")
    return found[0] if found else None


def figures(entry):
    return [entry[key] for key in KEYS]


def live(counts):
    return [counts[0] - counts[1], counts[2] - counts[3]]


def check_type(entry, site, counted, told, inherited, percpu):
    """counted: what the counters hold; told: numallocs and so on as they are told."""
    if entry is None:
        return equal(counted, [0, 0, 0, 0], f"{site}, of which there is no type")
    equal(figures(entry), told, site)
    equal([entry["inuse"], entry["memuse"]], live(counted), f"{site}, live")
    equal(figures(entry.get("inherited", dict.fromkeys(KEYS, 0))), inherited, f"{site}, inherited")
    for number, key in enumerate(KEYS):
        equal(sum(cpu[key] for cpu in entry["percpu"]), percpu[number], f"{site}, {key} of all CPUs")


def text_of(path):
    return subprocess.run([harness.tool(), "stat", path], capture_output=True, text=True, timeout=60, check=True).stdout


def each_process():
    with tempfile.TemporaryDirectory(prefix="malloc9-") as folder:
        env = harness.preload_env(conf={"dump": os.path.join(folder, "%p"), "print": "exit"})
        done = subprocess.run(sys.argv[1:2], env=env, capture_output=True, text=True, timeout=120, check=True,
                              preexec_fn=limit)
        books = books_of(done.stdout)
        equal(done.stderr.count(" bytes live\n"), 1, "tables printed")
        equal(sorted(os.listdir(folder)), sorted(map(str, books)), "dumps")
        first = list(books)[-1]  # it ends last
        modes = ("compact",) if len(sys.argv) > 2 else harness.expected_modes(harness.default_mode())
        for pid, sites in books.items():
            path = os.path.join(folder, str(pid))
            stats = harness.read_stats(path)
            equal(stats["pid"], pid, "pid")
            check(stats["mode"] in modes, f"mode {stats['mode']}")
            for site, (before, now) in sites.items():
                check_type(site_of(stats, site), site, now, now, before, now)
            equal("inherited" in stats["types"][0], pid != first, f"{pid} has inherited counts")
            equal("note: inherited at the fork" in text_of(path), pid != first, f"{pid} says so")


def merged():
    env = harness.preload_env()
    del env["LD_PRELOAD"]
    with tempfile.TemporaryDirectory(prefix="malloc9-") as folder:
        path = os.path.join(folder, "merged")
        done = subprocess.run([harness.tool(), "run", "--children", "--dump", path, "--", *sys.argv[1:2]], env=env,
                              capture_output=True, text=True, timeout=120, check=True, preexec_fn=limit)
        equal(done.stderr, "", "stderr")
        books = books_of(done.stdout)
        stats = harness.read_stats(path)
        equal(stats["notes"]["processes merged"], PROCESSES, "processes merged")
        for site in next(iter(books.values())):
            before, now = ([sum(column) for column in zip(*(sites[site][i] for sites in books.values()))] for i in (0, 1))
            did = [n - b for n, b in zip(now, before)]
            check(min(did[:3]) > 0 and (before[0] > 0 or site == "grandchild_site"), f"{site}: nothing to tell apart")
            check_type(site_of(stats, site), site, now, did, before, now)
        text = subprocess.run([harness.tool(), "zones", "--json", path], stdout=subprocess.PIPE, check=True).stdout
        equal(sum(zone["req"] for zone in harness.json.loads(text)["zones"]),
              sum(entry["numallocs"] for entry in stats["types"]), "requests of the zones")
        check("note: inherited at forks and not among Requests: " in text_of(path), "no line of what was inherited")


try:
    each_process()
    merged()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
