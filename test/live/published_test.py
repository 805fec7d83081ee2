#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""published_test.py: a live file appears under its name when it is whole and locked, wherever its process is killed and
whatever the file system can; what is left of those that were not gets swept by gc."""
import ctypes
import errno
import fcntl
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
from harness import check, equal

PROGRAM = ["/usr/bin/perl", "-e", "for my $i (1..3000) { push @a, \"v$i\" } print scalar @a"]
NAMESPACE = os.stat("/proc/self/ns/pid").st_ino
F_OFD_GETLK, F_OFD_SETLK = 36, 37
FLOCK = "hh4xqqi4x"


def lock_of(fd):
    return struct.unpack(FLOCK, fcntl.fcntl(fd, F_OFD_GETLK, struct.pack(FLOCK, fcntl.F_RDLCK, 0, 0, 0, 0)))[0]


def is_over(pid):
    """Whether a process ends, or has: its locks go before it is a zombie, but after the kernel set PF_EXITING."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return fields[0] in "ZX" or int(fields[6]) & 4 != 0
    except (FileNotFoundError, ProcessLookupError):
        return True


def look_at(path):
    """What is wrong with a file that was just seen for the first time, or nothing."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        head, mode, lock = os.pread(fd, 8, 0), os.fstat(fd).st_mode & 0o7777, lock_of(fd)
    finally:
        os.close(fd)
    if head != b"malloc9\n":
        return f"{path} begins with {head}"
    if lock != fcntl.F_WRLCK and not is_over(os.path.basename(path).split("-")[0]):
        return f"{path} has no lock"
    return f"{path} has mode {mode:o}" if mode != 0o600 else ""


def watch(folder):
    """In a process of its own: looks at each file as soon as it is there; its status is how many it saw, or 255."""
    pid = os.fork()
    if pid:
        return pid
    seen, stop = set(), os.path.join(folder, "stop")
    while not os.path.exists(stop):
        for path in live.files(folder):
            if path in seen:
                continue
            seen.add(path)
            wrong = look_at(path)
            if wrong:
                print(wrong, flush=True)
                os._exit(255)
    os._exit(min(len(seen), 254))


def whole():
    with live.folder() as folder:
        watcher = watch(folder)
        env = harness.preload_env(conf={"stats": folder, "keep": "all"})
        for _ in range(100):
            subprocess.run(["/usr/bin/true"], env=env, check=True, timeout=20)
        with open(os.path.join(folder, "stop"), "w", encoding="ascii"):
            pass
        seen = os.waitstatus_to_exitcode(os.waitpid(watcher, 0)[1])
        check(40 < seen <= 100, f"{seen} files were seen, of 100 processes")
        print(f"{seen} files were whole when they were first seen")


def killed():
    with live.folder() as folder:
        env = harness.preload_env(conf={"stats": folder})
        begin = time.monotonic()
        subprocess.run(PROGRAM, env=env, stdout=subprocess.DEVNULL, check=True)
        life = max(time.monotonic() - begin, 0.05)  # of one that is not killed
        for _ in range(60):
            process = subprocess.Popen(PROGRAM, env=env, stdout=subprocess.DEVNULL)
            time.sleep(random.random() ** 2 * life)
            process.kill()
            process.wait()
        files = live.files(folder)
        for path in files:
            check(live.stat(path)[0]["program"] == "perl", f"{path} is not perl's")
        check(len(files) > 4, f"only {len(files)} of 60 processes had a live file")
        left = [name for name in os.listdir(folder) if name.endswith(".live.new")]
        equal(len(files) + len(left), len(os.listdir(folder)), "files in the folder")
        live.tool("gc", folder)
        equal(os.listdir(folder), [], "what gc left")
        print(f"60 killed: {len(files)} live files, {len(left)} that were being made")


def dead_pid():
    process = subprocess.Popen(["/usr/bin/true"])
    process.wait()
    return process.pid


def swept():
    """What is being made stays while its process is there, or may be in another pid namespace; then it is old, for which
    it has the time of the other tests."""
    with live.folder() as folder:
        def make(pid, namespace):
            path = os.path.join(folder, f"{pid}-{namespace}.live.new")
            return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

        made = time.monotonic()
        gone, mine, foreign, locked = (make(*who)[0] for who in (
            (dead_pid(), NAMESPACE), (os.getpid(), NAMESPACE), (dead_pid(), 17), (1, 17)))
        holder = os.open(locked, os.O_RDWR)
        fcntl.fcntl(holder, F_OFD_SETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
        equal(live.processes(folder), [], "processes of files that are being made")
        for options in (["--dry-run"], ["--ended"]):
            live.tool("gc", *options, folder)
            equal(len(os.listdir(folder)), 4, f"files after gc {options}")
        live.tool("gc", folder)
        check(not os.path.exists(gone), "gc left what a dead process had begun")
        equal(sorted(os.path.join(folder, name) for name in os.listdir(folder)), sorted([mine, foreign, locked]),
              "files after gc")
        yield
        time.sleep(max(made + 12 - time.monotonic(), 0))
        live.tool("gc", folder)
        equal(os.listdir(folder), [os.path.basename(locked)], "files after gc, when they are old")


def refuse(*calls, error):
    """A preexec_fn: these system calls fail from now on (seccomp)."""
    def instruction(code, value, yes=0, no=0):
        return struct.pack("HBBI", code, yes, no, value)

    program = instruction(0x20, 0)  # the number
    for i, call in enumerate(calls):
        program += instruction(0x15, call, len(calls) - i)
    program += instruction(0x06, 0x7fff0000) + instruction(0x06, 0x50000 | error)

    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        code = ctypes.create_string_buffer(program, len(program))
        filter_ = ctypes.create_string_buffer(struct.pack("H6xP", len(program) // 8, ctypes.addressof(code)))
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter_, 0, 0):
            os._exit(99)
    return enter


RENAMEAT, LINKAT, RENAMEAT2 = 264, 265, 316


def run(folder, filtered):
    with tempfile.NamedTemporaryFile() as dump:
        done = subprocess.run(PROGRAM, env=harness.preload_env(conf={"stats": folder, "dump": dump.name, "keep": "all"}),
                              capture_output=True, text=True, timeout=60, check=False, preexec_fn=filtered)
        equal((done.returncode, done.stdout), (0, "3000"), f"what it did ({done.stderr})")
        return done.stderr, live.stat(dump.name)[1]


def renamed():
    """On file systems that cannot rename without replacing; and where no name can be had at all."""
    with live.folder() as folder:
        stderr, counted = run(folder, refuse(RENAMEAT2, error=errno.EINVAL))
        equal(stderr, "", "standard error without renameat2")
        path, = live.files(folder)
        equal(os.listdir(folder), [os.path.basename(path)], "names in the folder")
        kept = live.stat(path)[1]
        equal(sorted(name for name in counted if name not in kept), [], "types that the file lacks")
        live.tool("gc", folder)
        # The dump's name is a rename as well, by another call.
        stderr, counted = run(folder, refuse(RENAMEAT2, LINKAT, error=errno.EPERM))
        check(f"cannot count in a file in {folder}: is not a folder of ours alone, counting in memory\n" in stderr, stderr)
        equal(os.listdir(folder), [], "what is left without a name")
        check(sum(e["numallocs"] for entries in counted.values() for e in entries) > 3000, "nothing was counted")


def exec_of_the_same():
    """A process that becomes another program puts its new file in the place of the old one, and replaces nobody's."""
    with live.folder() as folder:
        done = subprocess.run(["/bin/sh", "-c", "echo $$; exec \"$@\"", "sh", *PROGRAM], text=True, capture_output=True,
                              env=harness.preload_env(conf={"stats": folder, "keep": "all"}), check=True, timeout=60)
        path = live.file_of(folder, done.stdout.split("\n")[0])
        equal(live.stat(path)[0]["program"], "perl", "program of the file after exec")
        equal(os.listdir(folder), [os.path.basename(path)], "files after exec")
        # The remains of another process of that pid step aside.
        old = os.path.join(folder, "old")
        os.rename(path, old)

        def remains():
            os.rename(old, os.path.join(folder, f"{os.getpid()}-{NAMESPACE}.live"))
        time.sleep(0.2)
        run(folder, remains)
        equal(sorted(p["state"] for p in live.processes(folder)), ["ended", "ended"], "states of both")


try:
    old_by_then = swept()
    next(old_by_then)
    for test in (whole, killed, renamed, exec_of_the_same):
        test()
    check(next(old_by_then, "done") == "done", "the end of the files that are being made")
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
