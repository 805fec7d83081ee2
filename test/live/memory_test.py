#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory_test.py JOURNAL: the kernel kills a process for want of memory, in a cgroup; its live file has every count. Skipped
where no cgroup with a limit can be made."""
import contextlib
import os
import signal
import subprocess
import sys
import tempfile

import harness
import killed_test
import live
from harness import check, equal

LIMIT = 64 << 20
LEAST = 20 << 20  # live bytes when it was killed
GREEDY = "$SIG{ALRM} = sub { exit 3 }; alarm 50; for (my $i = 0; ; $i++) { push @a, 'x' x 1000 }"
# The same so slowly that it can be ended once the other is dead.
SLOW = "alarm 50; for (;;) { push @a, 'x' x 1_000_000; select undef, undef, undef, 0.005 }"


def is_removed(group):
    try:
        os.rmdir(group)
        return True
    except OSError:
        return False


@contextlib.contextmanager
def limited_group():
    """The folder of a cgroup in which processes may have so much memory and no swap."""
    version1 = "/sys/fs/cgroup/memory"
    root = version1 if os.path.isdir(version1) else "/sys/fs/cgroup"
    limit, swap = (("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if root == version1 else
                   ("memory.max", "memory.swap.max"))
    group = os.path.join(root, f"malloc9-test-{os.getpid()}")

    def write(name, value):
        with open(os.path.join(group, name), "w", encoding="ascii") as file:
            file.write(str(value))

    made = False
    try:
        os.mkdir(group)
        made = True
        write(limit, LIMIT)
        if os.path.exists(os.path.join(group, swap)):
            write(swap, LIMIT if root == version1 else 0)
    except OSError as error:
        if made:
            os.rmdir(group)
        harness.skip(f"no cgroup with a limit can be made: {error}")
    try:
        yield group
    finally:
        harness.wait_until(lambda: is_removed(group), 10, f"{group} to be empty")


def write_own(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def takes_all(group):
    with live.folder() as folder:
        done = subprocess.run(["/usr/bin/perl", "-e", GREEDY], env=harness.preload_env(conf={"stats": folder}),
                              preexec_fn=lambda: write_own(os.path.join(group, "cgroup.procs"), os.getpid()),
                              check=False, timeout=60)
        equal(done.returncode, -signal.SIGKILL, "status of the program that took all memory")
        dead = live.processes(folder)
        equal([(p["program"], p["state"]) for p in dead], [("perl", "died")], "what ps says")
        check(dead[0]["live_bytes"] > LEAST, f"only {dead[0]['live_bytes']} bytes live in its file")
        print(f"killed for want of memory with {dead[0]['live_bytes']} bytes live")


def keeps_books(group, journal):
    """Another process takes the memory, and the kernel kills the one that writes down what it does."""
    def first_to_be_killed():
        write_own(os.path.join(group, "cgroup.procs"), os.getpid())
        write_own("/proc/self/oom_score_adj", 1000)

    with live.folder() as folder, tempfile.NamedTemporaryFile() as books:
        process = subprocess.Popen([journal, books.name, str(killed_test.THREADS)], stdout=subprocess.PIPE,
                                   start_new_session=True, env=harness.preload_env(conf={"stats": folder}),
                                   preexec_fn=first_to_be_killed)
        process.stdout.readline()
        other = subprocess.Popen(["/usr/bin/perl", "-e", SLOW],
                                 preexec_fn=lambda: write_own(os.path.join(group, "cgroup.procs"), os.getpid()))
        try:
            process.wait(60)
        finally:
            for each in (process, other):
                each.kill()
                each.wait()
            process.stdout.close()
        equal(process.returncode, -signal.SIGKILL, "status of the process that kept books")
        stats, by_name = live.stat(live.file_of(folder, process.pid))
        flying = killed_test.compare(stats, by_name, killed_test.books_of(books.name))
        total = sum(entry["numallocs"] for entry in stats["types"])
        check(total > 1000, f"it had done {total} allocations")
        print(f"killed for want of memory after {total} allocations, {flying} in flight: equal")


def main():
    with limited_group() as group:
        takes_all(group)
        keeps_books(group, sys.argv[1])


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
