#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""killed_test.py JOURNAL TIMES: a program with 8 threads that writes down what it does is killed at random moments.
Its live file then holds just that: of each thread's call site every count, to the operation that was in flight."""
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

import harness
import live
from harness import check

THREADS = 8
MOST = 16  # threads_most of journal.h
WORDS = 2 + 2 * MOST


def journals(path):
    """Per thread: (allocs, bytes, frees of each thread's items, their bytes)."""
    size = (WORDS * 8 + 63) // 64 * 64
    with open(path, "rb") as file:
        data = file.read()
    for thread in range(THREADS):
        words = struct.unpack_from(f"<{WORDS}Q", data, thread * size)
        yield words[0], words[1], words[2:2 + MOST], words[2 + MOST:]


def books_of(path):
    """By thread: [allocs, frees, bytes, bytes freed] of its call site, as written down."""
    all_of = list(journals(path))
    return [[own[0], sum(j[2][t] for j in all_of), own[1], sum(j[3][t] for j in all_of)]
            for t, own in enumerate(all_of)]


def bytes_in_flight(more, what):
    """Large blocks have a counter of bytes, which may be ahead of that of their number."""
    check(more == 0 or 65536 < more <= THREADS * 300000, f"{what}: {more} more were counted than written down")
    return more != 0


def compare(stats, by_name, books):
    """How many operations were in flight."""
    flying = 0
    found = {}
    for name, entries in by_name.items():
        if "site" in name and name.startswith("journal!"):
            thread = int(name.split("siteILj")[1].split("E")[0])
            check(len(entries) == 1, f"{name} has {len(entries)} types")
            found[thread] = entries[0]
    for thread, (allocs, frees, size, freed) in enumerate(books):
        if thread not in found:
            check(allocs == 0, f"thread {thread} is not in the file, and did {allocs}")
            continue
        entry = found[thread]
        off = [entry["numallocs"] - allocs, entry["numfrees"] - frees]
        check(0 <= off[0] <= 1, f"thread {thread}: {entry['numallocs']} allocations counted, {allocs} written down")
        check(0 <= off[1] <= THREADS, f"thread {thread}: {entry['numfrees']} frees counted, {frees} written down")
        if off[1] == 0:
            flying += bytes_in_flight(entry["memfreed"] - freed, f"bytes freed of thread {thread}")
        if off[0] == 0:
            flying += bytes_in_flight(entry["memalloced"] - size, f"bytes of thread {thread}")
        flying += sum(off)
    check(flying <= THREADS, f"{flying} operations in flight of {THREADS} threads")
    check(stats["mode"] in harness.expected_modes(harness.default_mode()), f"mode {stats['mode']}")
    return flying


def once(program, folder):
    with tempfile.NamedTemporaryFile() as journal:
        process = subprocess.Popen([program, journal.name, str(THREADS)], stdout=subprocess.PIPE, start_new_session=True,
                                   env=harness.preload_env(conf={"stats": folder}))
        try:
            waited = random.random() < 0.9
            if waited:
                process.stdout.readline()
            time.sleep(random.random() ** 3 * 0.06)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        if not waited and os.stat(journal.name).st_size == 0:  # killed before the library or the program began
            return 0, 0
        path = live.file_of(folder, process.pid)
        stats, by_name = live.stat(path)
        harness.equal(stats["pid"], process.pid, "pid")
        flying = compare(stats, by_name, books_of(journal.name))
        os.unlink(path)
        return sum(entry["numallocs"] for entry in stats["types"]), flying


def main():
    program, times = sys.argv[1], int(sys.argv[2])
    if os.environ.get("MALLOC9_QUICK"):
        times = max(times // 8, 1)
    seed = int(os.environ.get("MALLOC9_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    print(f"MALLOC9_SEED={seed}")
    with live.folder() as folder:
        done = [once(program, folder) for _ in range(times)]
        live.tool("gc", folder)
        harness.equal(len(live.tool("ps", folder).stdout.splitlines()), 1, "lines of ps after gc")
    check(sum(allocs for allocs, _ in done) > 100 * times, "the programs did nothing")
    print(f"{times} killed, {sum(allocs for allocs, _ in done)} allocations, {sum(f for _, f in done)} in flight: equal")


if __name__ == "__main__":
    try:
        main()
    except harness.Failed as failure:
        sys.exit(f"FAILED: {failure}")
