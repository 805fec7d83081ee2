#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""places_test.py JOURNAL FORKS: folders and files that are not as they should be. Nothing of anybody else's is
followed or touched, the program goes on and counts, and what is wrong is said."""
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import harness
import live
from harness import check, equal

WORK = ["/usr/bin/perl", "-e", "for my $i (1..3000) { push @a, \"v$i\" } print scalar @a"]


def run(folder, argv=WORK, **more):
    """Standard error, and the dump's statistics: what the process itself counted."""
    with tempfile.NamedTemporaryFile() as dump:
        done = subprocess.run(argv, env=harness.preload_env(conf={"stats": folder, "dump": dump.name}),
                              capture_output=True, text=True, timeout=60, check=False, **more)
        equal(done.returncode, 0, f"status ({done.stderr})")
        equal(done.stdout, "3000", "output")
        return done.stderr, live.stat(dump.name)[0]


def allocations(stats):
    return sum(entry["numallocs"] for entry in stats["types"])


def refused(folder, why):
    stderr, stats = run(folder)
    wanted = f"malloc9: cannot count in a file in {folder}: {why}, counting in memory\n"
    equal(stderr, wanted, "standard error")
    check(allocations(stats) > 3000, "nothing was counted")


def links(folder):
    victim = os.path.join(folder, "victim")
    os.mkdir(victim, 0o700)
    link = os.path.join(folder, "link")
    os.symlink(victim, link)
    refused(link, "not a directory")
    equal(os.listdir(victim), [], "what came through the link")
    # A link where the process's own file would be: it takes another name.
    good = os.path.join(folder, "good")
    os.mkdir(good, 0o700)
    target = os.path.join(folder, "target")
    with open(target, "w", encoding="ascii") as file:
        file.write("precious")
    namespace = os.stat("/proc/self/ns/pid").st_ino

    def plant():
        for name in ("live", "live.new"):  # also where it is while it is being made
            os.symlink(target, os.path.join(good, f"{os.getpid()}-{namespace}.{name}"))

    stderr, _ = run(good, preexec_fn=plant)
    equal(stderr, "", "standard error")
    with open(target, encoding="ascii") as file:
        equal(file.read(), "precious", "the link's target")
    names = [name for name in live.files(good) if not os.path.islink(name)]
    equal(len(names), 1, "files beside the planted links")
    equal(len(os.listdir(good)), 3, "names beside the planted links")
    check(allocations(live.stat(names[0])[0]) > 3000, "nothing was counted in the file")
    equal(len(live.processes(good)), 1, "processes listed beside a link")
    equal(live.tool("ps", link, status=2).stderr, f"malloc9: {link}: is a link; name the folder itself\n", "ps")
    live.tool("gc", good)
    equal([os.path.islink(os.path.join(good, name)) for name in os.listdir(good)], [True, True], "links that gc left")


def owners(folder):
    if os.geteuid() != 0:
        raise harness.Failed("this test gives a folder to another user: run it as root")
    other = os.path.join(folder, "other")
    os.mkdir(other, 0o700)
    os.chown(other, 65534, 65534)
    refused(other, "is not a folder of ours alone")
    wide = os.path.join(folder, "wide")
    os.mkdir(wide)
    os.chmod(wide, 0o777)
    refused(wide, "is not a folder of ours alone")
    os.chmod(wide, 0o1777)
    equal(run(wide)[0], "", "standard error in a sticky folder")
    equal(len(live.files(wide)), 1, "files in a sticky folder")
    equal(os.stat(live.files(wide)[0]).st_mode & 0o7777, 0o600, "mode of the file")
    # Another user sees that there is something, and reads nothing.
    os.chmod(folder, 0o755)
    tool = os.path.join(folder, "malloc9")
    shutil.copy(harness.tool(), tool)
    done = subprocess.run([tool, "ps", "--json", wide], capture_output=True, text=True, check=False, timeout=60,
                          user=65534, group=65534)
    equal((done.returncode, done.stdout.strip()), (0, "[]"), "another user's ps")


def full(folder, forks):
    mounted = os.path.join(folder, "small")
    os.mkdir(mounted, 0o700)

    def mount(size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", mounted], check=True)

    mount("8k")
    try:
        refused(mounted, "no space left on device")
        equal(os.listdir(mounted), [], "files on the full file system")
    finally:
        subprocess.run(["umount", mounted], check=True)
    mount("64k")
    try:
        stderr, stats = run(mounted)
        equal(stderr, "", "standard error")
        check(allocations(stats) > 3000, "nothing was counted")
        done = live.tool("stat", live.files(mounted)[0])
        wanted = f"malloc9: {live.files(mounted)[0]}: counts are missing: the file system is full\n"
        equal(done.stderr, wanted, "what stat says")
        check(live.processes(mounted)[0]["incomplete"], "ps does not say that counts are missing")
    finally:
        subprocess.run(["umount", mounted], check=True)


def limits(folder):
    os.chmod(folder, 0o700)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    stderr, stats = run(folder, preexec_fn=small_files)
    check("file too large, counting in memory\n" in stderr, stderr)
    check(allocations(stats) > 3000, "nothing was counted")


def cut_short(folder, journal):
    """A file that somebody cuts short while it is read is an error, no crash."""
    with tempfile.NamedTemporaryFile() as books:
        process = subprocess.Popen([journal, books.name, "2"], stdout=subprocess.PIPE,
                                   env=harness.preload_env(conf={"stats": folder}))
        process.stdout.readline()
        time.sleep(0.2)
        process.kill()
        process.wait()
        process.stdout.close()
    path = live.file_of(folder, process.pid)
    size = os.stat(path).st_size
    seen = set()
    for at in [0, 50, 104, 4096, 12288, 39845888, size - 1] + [size * i // 40 for i in range(40)]:
        copy = os.path.join(folder, "1-1.live")
        subprocess.run(["cp", "--sparse=always", path, copy], check=True)
        os.truncate(copy, at)
        done = live.tool("stat", copy, status=None)
        check(done.returncode in (0, 2) and done.stderr.count("\n") <= 1, f"cut at {at}: {done}")
        seen.add(done.returncode)
    check(2 in seen, "no cut was noticed")
    # And replaced while it is read: each reading is of one file or of the other.
    other = os.path.join(folder, "1-2.live")
    for _ in range(20):
        subprocess.run(["cp", "--sparse=always", path, other], check=True)
        reader = subprocess.Popen([harness.tool(), "stat", "--json", copy], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.rename(other, copy)
        reader.communicate(timeout=60)
        check(reader.returncode in (0, 2), f"status {reader.returncode}")


def main():
    journal, forks = sys.argv[1:3]
    for test in (links, owners, lambda f: full(f, forks), limits, lambda f: cut_short(f, journal)):
        with live.folder() as folder:
            test(folder)


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
