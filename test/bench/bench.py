# SPDX-License-Identifier: BSD-2-Clause
"""scripts/bench: malloc9 beside other allocators, in the same run, interleaved run by run."""
import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile

import figures
import peers as peers_of
import quick
import report
import runs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH_TARGETS = ["test/bench/workloads", "test/bench/measure", "test/bench/libbench_module.so"]
LIBRARY = "preload/libmalloc9.so"


def arguments():
    p = argparse.ArgumentParser(prog="bench", description=__doc__)
    what = p.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="one-thread pairs and the start of `true`, in a minute")
    what.add_argument("--rss", action="store_true", help="what stays resident after 1 GiB was freed")
    what.add_argument("--scaling", action="store_true", help="curves over threads, live items, types and modules")
    what.add_argument("--shares", action="store_true", help="how much of each case's time is malloc's, by `perf record`")
    what.add_argument("--list", action="store_true", help="what there is, and why")
    p.add_argument("--only", metavar="NAME,NAME", help="these workloads, programs or curves alone")
    p.add_argument("--peers", metavar="NAME,NAME", help="these allocators alone")
    p.add_argument("--rounds", type=int, help="interleaved rounds (11; --quick 7, --rss and --scaling 3)")
    p.add_argument("--scale", type=float, default=1, help="of the amount of work in the bench's own workloads")
    p.add_argument("--with", dest="given", action="append", default=[], metavar="NAME=LIB", help="one more allocator")
    p.add_argument("--nocount", action="store_true", help="also malloc9 without tags and counters: what counting costs")
    p.add_argument("--json", metavar="FILE", help="every run and the summary")
    p.add_argument("--svg", metavar="FILE", help="a picture")
    p.add_argument("--build", metavar="DIR", default=os.path.join(ROOT, "build"), help="build folder (%(default)s)")
    p.add_argument("--no-build", action="store_true", help="take what the build folders hold")
    p.add_argument("--no-bars", action="store_true", help="do not compare with the bars")
    a = p.parse_args()
    if a.rounds is not None and a.rounds < 1:
        p.error("--rounds: at least 1")
    return a


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def build(folder, targets, options=()):
    """Builds targets in a folder that is made if it is not there."""
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        subprocess.run(["meson", "setup", folder, ROOT, *options], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(["ninja", "-C", folder, *targets], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: ninja -C {folder} failed\n{done.stdout[-4000:]}{done.stderr}")


def build_all(a):
    """Returns name -> library for our builds; None for one that is not there."""
    a.build = os.path.abspath(a.build)
    nocount = a.build + "-nocount"
    library_known = os.path.exists(os.path.join(ROOT, "preload/meson.build"))
    if not a.no_build:
        build(a.build, BENCH_TARGETS + ([LIBRARY, "tool/malloc9"] if library_known else []))
        if a.nocount and library_known:
            build(nocount, [LIBRARY], ["-Dcounting=false"])
    builds = {"malloc9": a.build}
    if a.nocount:
        builds["malloc9-nocount"] = nocount
    paths = {name: os.path.join(folder, LIBRARY) for name, folder in builds.items()}
    return {name: path if os.path.exists(path) else None for name, path in paths.items()}


def machine():
    """What a reader needs to know about where the numbers come from."""
    model = ""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    with open("/sys/kernel/mm/transparent_hugepage/enabled") as f:
        huge = f.read().strip()
    return {"cpu": model, "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(), "thp": huge,
            "libc": " ".join(platform.libc_ver()), "commit": commit.stdout.strip(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def choose(peers, names):
    if not names:
        return peers
    wanted = names.split(",")
    unknown = set(wanted) - {p.name for p in peers}
    if unknown:
        raise SystemExit(f"bench: no such allocator here: {', '.join(sorted(unknown))}")
    return [p for p in peers if p.name in wanted]


def run_quick(a, runner, peers, subject, workloads):
    found = quick.measure(runner, peers, workloads, a.rounds or 7, say)
    print(quick.table(found, subject.name))
    if subject.ours and not a.no_bars:
        print(report.bar_lines(quick.bars(found, subject.name)))
    return {"quick": found}


def main():
    a = arguments()
    builds = build_all(a)
    peers, missing = peers_of.find_peers(builds, a.given)
    peers = choose(peers, a.peers)
    for line in missing:
        say(f"missing: {line}")
    subject = peers[0]
    workloads = os.path.join(a.build, "test/bench/workloads")
    with tempfile.TemporaryDirectory(prefix="malloc9-bench-") as work:
        runner = runs.Runner(a.build, work)
        try:
            result = run_quick(a, runner, peers, subject, workloads)
        except runs.Failed as e:
            raise SystemExit(f"bench: {e}")
        if runner.modes:
            print("modes: " + ", ".join(f"{name} {'+'.join(sorted(m))}" for name, m in runner.modes.items()))
    result.update(machine=machine(), missing=missing, peers={p.name: p.describe() for p in peers})
    if a.json:
        with open(a.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
