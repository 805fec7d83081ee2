# SPDX-License-Identifier: BSD-2-Clause
"""What live statistics cost a program: counts in a file (stats:DIR) against private memory, a reader that looks at the
file 100 times a second (`malloc9 record`) against none, and how much later programs start that count in a file.

The first and the last by runs in turn, as everywhere in the bench. The reader's share is too small for that: it is
stopped and continued (SIGSTOP, SIGCONT) every 50 ms while one program runs that times each millisecond of its work, and
what a piece of work took while the reader looked is compared with the windows before and after. A program that leaves a
CPU free pays for a reader by cache lines alone; one that keeps all CPUs busy also gives the reader the CPU time that is
shown. How often the reader looked is checked: one that does not read costs nothing."""
import bisect
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time

import figures
from runs import Case, Failed

HZ = 100
LEAST_SHARE = 0.5  # of the looks that were due
WINDOW_S, EDGE_NS = 0.05, 3_000_000  # work within so much of a window's ends is left out
BAR = 1.01
STARTS, STARTS_BAR = 30, 100  # programs a run; microseconds
PAIRS = {"file": 8, "starts": 30}  # a round, one in file and one in memory each: the difference is small, so is a start's time


def make_pipe(folder):
    os.mkfifo(os.path.join(folder, "go"))


def write_byte(folder):
    with open(os.path.join(folder, "go"), "wb") as f:
        f.write(b"g")


def cases(workloads, scale):
    """Kind -> cases: a busy thread, one with a thousand types, four threads on all CPUs; the same to be read; starts."""
    return {
        "file": [Case("mixed_random", [workloads, "mixed_random", f"scale={0.4 * scale}"]),
                 Case("1,000 types", [workloads, "watched", "types=1000", f"scale={0.1 * scale}"],
                      stdin="{work}/go", before_all=write_byte, varies=True),
                 Case("server", [workloads, "server", f"scale={0.2 * scale}"])],
        "reader": [Case(f"{types} types", [workloads, "watched", f"types={types}", f"scale={scale}"],
                        stdin="{work}/go", before_all=make_pipe, varies=True) for types in (10, 1000)],
        "starts": [Case("fork+exec", ["/bin/sh", "-c", f"i=0; while [ $i -lt {STARTS} ]; do /usr/bin/true; i=$((i+1)); done"])],
    }


def live_file(folder):
    names = [name for name in os.listdir(folder) if name.endswith(".live")]
    return os.path.join(folder, names[0]) if names else None


def wait_for(condition, what):
    for _ in range(5000):
        if found := condition():
            return found
        time.sleep(0.002)
    raise Failed(f"waited 10 s for {what}")


class Reader(threading.Thread):
    """Begins to read the program's file, lets the program begin, and reads in every second window until it is over."""

    def __init__(self, runner, case, folder):
        super().__init__(daemon=True)
        self.tool, self.folder, self.pipe = runner.tool, folder, os.path.join(runner.folder(case), "go")
        self.over, self.failure = threading.Event(), None
        self.windows = []  # (begin in ns of the monotonic clock, whether it reads)
        self.looks = self.cpu_us = 0

    def run(self):
        with open(self.pipe, "wb") as pipe:  # once the program has its end
            try:
                process, cpu_us = self.begin()
                pipe.write(b"g")
                pipe.flush()
                self.take_turns(process)
                self.end(process, cpu_us)
            except Failed as failure:
                self.failure = failure

    def begin(self):
        path = wait_for(lambda: live_file(self.folder), "the live file")
        recording = os.path.join(self.folder, "recording")
        process = subprocess.Popen([self.tool, "record", path, "--hz", str(HZ), "-o", recording],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: os.path.exists(recording) or process.poll() is not None, "the first look")
        if process.poll() is not None:
            raise Failed(f"malloc9 record did not read: {process.stderr.read().strip()}")
        with open(f"/proc/{process.pid}/schedstat") as f:
            return process, int(f.read().split()[0]) / 1000

    def take_turns(self, process):
        reads = True
        while not self.over.is_set():
            reads = not reads
            os.kill(process.pid, signal.SIGCONT if reads else signal.SIGSTOP)  # it is not reaped before end()
            self.windows.append((time.monotonic_ns(), reads))
            self.over.wait(WINDOW_S)
        self.windows.append((time.monotonic_ns(), False))
        os.kill(process.pid, signal.SIGCONT)

    def end(self, process, cpu_us):
        said = process.stderr.read()
        process.stderr.close()
        usage = os.wait4(process.pid, 0)[2]
        process.returncode = 0
        found = re.search(r": (\d+) samples of \d+ types", said)
        if not found:
            raise Failed(f"malloc9 record did not read: {said.strip()}")
        self.looks = int(found.group(1)) - 1
        self.cpu_us = (usage.ru_utime + usage.ru_stime) * 1e6 - cpu_us

    def seconds(self):
        return sum(end - begin for (begin, reads), (end, _) in zip(self.windows, self.windows[1:]) if reads) / 1e9


def window_costs(windows, parts):
    """For each window: whether the reader looked, and the mean CPU and wall time of the pieces that lay in it."""
    ends = [end for end, _ in parts]
    for (begin, reads), (end, _) in zip(windows, windows[1:]):
        first, last = bisect.bisect(ends, begin + EDGE_NS) + 1, bisect.bisect(ends, end - EDGE_NS)
        if last - first >= 5:
            yield (reads, statistics.mean(parts[i][1] for i in range(first, last)),
                   (ends[last - 1] - ends[first - 1]) / (last - first))


def window_ratios(costs):
    """Of each window with a reader against the mean of its neighbours without: (CPU, wall)."""
    return [tuple(2 * now[k] / (before[k] + after[k]) for k in (1, 2))
            for before, now, after in zip(costs, costs[1:], costs[2:]) if now[0] and not before[0] and not after[0]]


def empty(folder):
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))


def check_counted(runner, case, folder):
    """The file is there and has counts, so the library counted in it."""
    path = live_file(folder)
    shown = path and subprocess.run([runner.tool, "stat", "--json", path], capture_output=True, text=True)
    if not shown or shown.returncode or not sum(t["numallocs"] for t in json.loads(shown.stdout)["types"]):
        raise Failed(f"{case.name}: nothing was counted in a live file: {shown.stderr.strip() if shown else 'there is none'}")


def parts_of(runner, case):
    """The pieces of a watched workload, (end, CPU time) in ns, and what it said at its end."""
    *parts, last = runner.output(case).splitlines()
    return [tuple(map(int, line.split())) for line in parts], json.loads(last)


def without_start(parts, said):
    """What the work took, without the start of the process; and where there are pieces, the first calls of call sites."""
    cpu, wall = ((sum(cpu for _, cpu in parts[1:]), parts[-1][0] - parts[0][0]) if parts else
                 (said["ns_cpu"], said["ns_wall"]))
    return {"user_us": cpu / 1000, "sys_us": 0, "wall_ns": wall}


def run_in_turn(runner, kind, case, peer, folder, first):
    """A run that counts in memory and one that counts in a file: what each took."""
    found = {}
    for setting in ("memory", "file") if first else ("file", "memory"):
        empty(folder)
        result, = runner.run(case, peer, env={"MALLOC9_CONF": f"stats:{folder}"} if setting == "file" else {})
        runner.check_output(case, peer)
        if kind == "file":
            result = without_start(*parts_of(runner, case))
        if setting == "file":
            check_counted(runner, case, folder)
        elif live_file(folder):
            raise Failed(f"{case.name}: a live file that nobody asked for")
        found[setting] = result
    return found


def run_read(runner, case, peer, folder):
    """A run that is read in every second window."""
    empty(folder)
    runner.prepare(case)
    reader = Reader(runner, case, folder)
    reader.start()
    try:
        runner.run(case, peer, env={"MALLOC9_CONF": f"stats:{folder}"})
    finally:
        reader.over.set()
    reader.join()
    if reader.failure:
        raise reader.failure
    check_counted(runner, case, folder)
    ratios = window_ratios(list(window_costs(reader.windows, parts_of(runner, case)[0])))
    return {"ratios": ratios, "looks": reader.looks, "seconds": reader.seconds(), "reader_us": reader.cpu_us}


def measure(runner, todo, peer, rounds, say):
    """Returns kind -> case -> what each round found."""
    folder = f"/dev/shm/malloc9-bench-live-{os.getpid()}"
    found = {kind: {c.name: [] for c in of_kind} for kind, of_kind in todo.items()}
    empty(folder)
    try:
        for case in todo["file"] + todo["starts"]:
            runner.prove(case, peer)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for kind, of_kind in todo.items():
                for case in of_kind:
                    found[kind][case.name] += (
                        [run_read(runner, case, peer, folder)] if kind == "reader" else
                        [run_in_turn(runner, kind, case, peer, folder, pair % 2) for pair in range(PAIRS[kind])])
    finally:
        empty(folder)
        os.rmdir(folder)
    return found


def check_looks(found):
    for name, all_rounds in found["reader"].items():
        looks, seconds = (sum(r[key] for r in all_rounds) for key in ("looks", "seconds"))
        if looks < LEAST_SHARE * HZ * seconds:
            raise Failed(f"{name}: {looks} looks in {seconds:.1f} s: the reader did not keep up, so its cost is not known")


def file_ratios(all_rounds, measured):
    return figures.paired(*(figures.values_of([r[s] for r in all_rounds], measured) for s in ("file", "memory")))


def file_mean(found, measured):
    """The geometric mean over the workloads, pair by pair."""
    ratios = [file_ratios(all_rounds, measured) for all_rounds in found["file"].values()]
    return figures.spread([figures.geometric_mean(r) for r in zip(*ratios)])


def read_ratios(all_rounds, which):
    return [ratio[which] for r in all_rounds for ratio in r["ratios"]]


def later_us(found, measured):
    """How much later each program starts, in microseconds, pair by pair."""
    memory, file = (figures.values_of([r[s] for r in found["starts"]["fork+exec"]], measured) for s in ("memory", "file"))
    return figures.spread([(b - a) * 1000 / STARTS for a, b in zip(memory, file)])


def spread_text(values):
    if not values:
        return "-"
    s = figures.spread(values)
    return f"{s['median']:.3f} [{s['low']:.3f} {s['high']:.3f}]"


def table(found):
    lines = ["median [quartiles] of ratios", f"{'counts in a file against memory':40}{'CPU time':>22}{'wall time':>22}"]
    for name, all_rounds in found["file"].items():
        lines.append(f"  {name:38}" + "".join(f"{spread_text(file_ratios(all_rounds, m)):>22}" for m in ("cpu", "wall")))
    lines.append(f"{f'a reader at {HZ} Hz against none':40}{'CPU time':>22}{'wall time':>22}{'looks/s':>9}{'us a look':>11}")
    for name, all_rounds in found["reader"].items():
        looks, seconds, us = (sum(r[k] for r in all_rounds) for k in ("looks", "seconds", "reader_us"))
        texts = [spread_text(read_ratios(all_rounds, which)) for which in (0, 1)]
        lines.append(f"  {name:38}{texts[0]:>22}{texts[1]:>22}{looks / max(seconds, 0.001):9.0f}{us / max(looks, 1):11.0f}")
    return "\n".join(lines)


def bars(found):
    listed = [(f"counts in a file, {label}", file_mean(found, m), BAR) for label, m in (("CPU time", "cpu"), ("wall time", "wall"))]
    listed += [(f"a reader at {HZ} Hz, {name}, {label}", figures.spread(read_ratios(all_rounds, which)), BAR)
               for name, all_rounds in found["reader"].items() for which, label in enumerate(("CPU time", "wall time"))]
    return listed + [(f"fork+exec of true with a file takes longer by (us, {label})", later_us(found, m), STARTS_BAR)
                     for label, m in (("CPU", "cpu"), ("wall", "wall"))]
