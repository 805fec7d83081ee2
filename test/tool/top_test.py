#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""top_test.py MALLOC9 MAKE_DUMP: `malloc9 top` in a real terminal, tmux's: keys go in, and what stands on the screen
comes out. What moves is a dump that is replaced while top looks at it, so that every rate is known."""
import contextlib
import itertools
import json
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

from harness import PATIENCE, check, equal, find_program, main, preload_env, read_stats, wait_equal, wait_until

TOOL, MAKE_DUMP = (os.path.abspath(argument) for argument in sys.argv[1:3])
del sys.argv[1:3]
FOLDER = tempfile.TemporaryDirectory(prefix="malloc9-top-")
SERVERS = itertools.count()


def made_dump(case):
    path = os.path.join(FOLDER.name, case + ".m9")
    if not os.path.exists(path):
        with open(path, "wb") as file:
            subprocess.run([MAKE_DUMP, case], stdout=file, check=True)
    return path


class Terminal:
    """A terminal in which top runs; `status` is its exit status once it ended."""

    def __init__(self, *arguments, width=110, height=24):
        self.end = os.path.join(FOLDER.name, "status")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.end)
        # A server each: the last one's is still on its way out.
        self.socket = os.path.join(FOLDER.name, f"tmux{next(SERVERS)}")
        command = f"{shlex.join([TOOL, 'top', *arguments])}; echo $? > {self.end}; sleep 600"
        self.tmux("new-session", "-d", "-s", "top", "-x", str(width), "-y", str(height), command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")

    def tmux(self, *arguments):
        return subprocess.run([find_program("tmux"), "-S", self.socket, "-f", "/dev/null", *arguments], check=True,
                              stdout=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout

    def text(self):
        return self.tmux("capture-pane", "-p", "-t", "top")

    def lines(self):
        return self.text().split("\n")

    def keys(self, *keys):
        self.tmux("send-keys", "-t", "top", *keys)

    def wait(self, pattern):
        wait_until(lambda: re.search(pattern, self.text(), re.M), PATIENCE, lambda: f"{pattern!r} in\n{self.text()}")

    def wait_gone(self, pattern):
        wait_until(lambda: not re.search(pattern, self.text(), re.M), PATIENCE,
                   lambda: f"{pattern!r} to go from\n{self.text()}")

    def wait_first(self, name):
        """Until that type is in the first row; names that do not fit are cut off."""
        wait_until(lambda: self.lines()[2].startswith(name[:20]), PATIENCE, lambda: f"{name} first in\n{self.text()}")

    def status(self):
        wait_until(lambda: os.path.exists(self.end) and os.path.getsize(self.end) > 0, PATIENCE,
                   lambda: f"top to end\n{self.text()}")
        with open(self.end) as file:
            return int(file.read())


def names(terminal):
    return [line.split()[0] for line in terminal.lines()[2:-2] if line.strip()]


def by(stats, key):
    return [entry["type"] for entry in sorted(stats["types"], key=lambda entry: entry[key], reverse=True)]


def test_list_and_sort():
    dump = made_dump("golden")
    stats = read_stats(dump)
    with Terminal(dump, "--names", "dump") as top:
        top.wait("^Type ")
        top.wait(rf"\A.*pid {stats['pid']}")
        top.wait(r"MemUse\*")
        top.wait_first(by(stats, "memuse")[0])
        top.keys("r")
        top.wait(r"Requests\*")
        top.wait_first(by(stats, "numallocs")[0])
        top.keys("n")
        top.wait(r"^Type\*")
        wait_until(lambda: (shown := names(top)) and shown == sorted(shown), PATIENCE, lambda: f"by name: {names(top)}")
        top.keys("?")
        top.wait("all that is known of it")
        top.keys("q")
        equal(top.status(), 0, "status")


def test_open_and_filter():
    dump = made_dump("big")
    with Terminal(dump, "--names", "dump") as top:
        top.wait("60000 types")
        top.keys("/", "_", "5", "9", "9", "9", "+", "Enter")
        top.wait('with "_5999[+]": 1 ')
        top.keys("Enter")
        top.wait("^big!function_5999[+]0x10")
        stats = {entry["type"]: entry for entry in read_stats(dump)["types"]}
        entry = stats["big!function_5999+0x10"]
        top.wait(r"/usr/bin/big\+0x176f")
        top.wait(rf"^\s+48\s+{entry['inuse']}\s+{entry['memuse']}\s+{entry['numallocs']}\s+{entry['numfrees']}$")
        top.wait(rf"^\s+{entry['percpu'][0]['cpu']}\s+{entry['numallocs']}\s")
        top.keys("Escape")
        top.wait("^Type ")
        top.keys("Escape")
        top.wait_gone("with ")
        top.keys("End")
        top.wait("function_")
        top.keys("Home", "q")
        equal(top.status(), 0, "status")


def test_narrow_and_resized():
    with Terminal(made_dump("golden"), width=40, height=8) as top:
        top.wait("^Type ")
        check("Requests" not in top.text(), top.text())
        top.tmux("resize-window", "-t", "top", "-x", "140", "-y", "30")
        top.wait("Requests")
        top.keys("q")
        equal(top.status(), 0, "status")


def test_hostile_names():
    """What a terminal would act on is shown, not done."""
    with Terminal(made_dump("hostile"), "--names", "dump", width=140) as top:
        top.wait("document.title")
        top.wait(r"\\x01")
        top.keys("q")
        equal(top.status(), 0, "status")


def with_allocs(dump, more):
    """The bytes of `dump`, with `more` allocations of the last type, whose counters are found by their values."""
    with open(dump, "rb") as file:
        data = bytearray(file.read())
    at = data.index(struct.pack("<QQ", 59999 + 2, 59999 + 1))
    struct.pack_into("<Q", data, at, 59999 + 2 + more)
    return bytes(data)


def replace(path, content):
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)


def is_asleep(pid):
    """Whether it waits for something else than a processor or a disk."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "S"


def test_rates():
    """Of a file that changes: allocations and bytes per second; and when it is gone, that is said, until it is back."""
    big = made_dump("big")
    path = os.path.join(FOLDER.name, "moving.m9")
    replace(path, with_allocs(big, 0))
    replace(path + ".more", with_allocs(big, 1000))
    process = subprocess.Popen([TOOL, "top", path, "--json", "--interval", "3000", "--sort", "allocs", "--names", "dump"],
                               stdout=subprocess.PIPE, text=True)
    wait_until(lambda: is_asleep(process.pid), PATIENCE, "the first look")  # it sleeps between the two
    os.rename(path + ".more", path)
    answer = json.loads(process.communicate(timeout=PATIENCE)[0])
    equal(process.returncode, 0, "status of --json")
    first = answer["types"][0]
    equal(first["type"], "big!function_59999+0x10", "the busiest type")
    equal(round(first["allocs_per_second"] * answer["seconds"]), 1000, "allocations")
    equal(round(first["bytes_per_second"] * answer["seconds"]), 48000, "bytes")
    equal(answer["types"][1]["allocs_per_second"], 0, "another type's rate")
    with Terminal(path, "--interval", "300", "--names", "dump") as top:
        top.wait("60000 types")
        os.unlink(path)
        top.wait("No such file")
        replace(path, with_allocs(big, 3000))
        top.wait("60000 types")
        top.keys("Space")
        top.wait("STOPPED")
        top.keys("q")
        equal(top.status(), 0, "status")


def sleeper(folder):
    """A process that counts in a file in `folder`, and that file."""
    process = subprocess.Popen(["/usr/bin/python3", "-c", "import time; time.sleep(1000)"],
                               env=preload_env(conf={"stats": folder}))
    ready = lambda: any(name.startswith(f"{process.pid}-") for name in os.listdir(folder)) and subprocess.run(
        [TOOL, "stat", os.path.join(folder, next(n for n in os.listdir(folder) if n.startswith(f"{process.pid}-")))],
        capture_output=True, check=False).returncode == 0
    wait_until(ready, PATIENCE, "its live file")
    return process


def test_choice():
    """Without TARGET the processes of the folder are listed and one is opened; where there is one only, that is."""
    folder = os.path.join(FOLDER.name, "live")
    os.mkdir(folder, 0o700)
    with Terminal("--dir", folder) as top:
        equal(top.status(), 2, "status where there is no process")
    processes = []
    try:
        processes.append(sleeper(folder))
        with Terminal("--dir", folder, "--names", "dump") as top:
            top.wait(rf"^python3 \(pid {processes[0].pid}\)")
            top.keys("q")
            equal(top.status(), 0, "status")
        processes += [sleeper(folder), sleeper(folder)]
        pids = [str(process.pid) for process in processes]
        with Terminal("--dir", folder, "--names", "dump", "--interval", "300") as top:
            top.wait("^Which process")
            wait_equal(lambda: [line.strip().split(" ")[0] for line in top.lines()[2:5]], pids, "processes")
            top.keys("Down", "Down", "Down", "Up", "Enter")
            top.wait(rf"^python3 \(pid {pids[1]}\)")
            top.keys("q")
            equal(top.status(), 0, "status")
        with Terminal("--dir", folder, "--names", "dump", "--interval", "300") as top:
            top.wait("^Which process")
            processes[0].kill()
            processes[0].wait()
            # What died goes down in the list, and stays chosen.
            top.wait(rf"^ *{pids[2]} alive.*\n *{pids[0]} died")
            top.keys("Enter")
            top.wait(rf"^python3 \(pid {pids[0]}\)")
            top.keys("q")
            equal(top.status(), 0, "status")
        with Terminal("--dir", folder) as top:
            top.wait("^Which process")
            top.keys("q")
            equal(top.status(), 0, "status of a choice of none")
        done = subprocess.run([TOOL, "top", "--json", "--dir", folder], capture_output=True, text=True, check=False)
        check(done.returncode == 2 and all(pid in done.stderr for pid in pids), done.returncode, done.stderr)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_refused():
    def run(*arguments, **more):
        return subprocess.run([TOOL, "top", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              check=False, **more)

    done = run(made_dump("golden"))
    check(done.returncode == 2 and "no terminal" in done.stderr, done.returncode, done.stderr)
    done = run("--json", "--interval", "1", made_dump("golden"))
    check(done.returncode == 2 and "--interval" in done.stderr, done.returncode, done.stderr)
    done = run("--json", "/no/such/file")
    check(done.returncode == 2 and "/no/such/file" in done.stderr, done.returncode, done.stderr)
    with Terminal("/no/such/file") as top:
        equal(top.status(), 2, "status where there is no file")


if __name__ == "__main__":
    try:
        main(test_list_and_sort, test_open_and_filter, test_narrow_and_resized, test_hostile_names, test_rates,
             test_choice, test_refused)
    finally:
        FOLDER.cleanup()
