# SPDX-License-Identifier: BSD-2-Clause
"""scripts/bench: malloc9 beside other allocators, in the same run, interleaved run by run."""
import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

import chains
import full
import given_back
import live
import peers as peers_of
import picture
import programs
import quick
import report
import runs
import scaling
import shares

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH_TARGETS = ["test/bench/workloads", "test/bench/measure", "test/bench/libbench_module.so"]
LIBRARY = "preload/libmalloc9.so"


def arguments():
    p = argparse.ArgumentParser(prog="bench", description=__doc__)
    what = p.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="one-thread pairs and the start of `true`, in a minute")
    what.add_argument("--rss", action="store_true", help="what stays resident after 1 GiB was freed")
    what.add_argument("--scaling", action="store_true", help="curves over threads, live items, types and modules")
    what.add_argument("--chains", action="store_true", help="what it costs to look for the caller that is no wrapper")
    what.add_argument("--live", action="store_true",
                      help="what it costs to count in a file, and to be read 100 times a second by `malloc9 record`")
    what.add_argument("--shares", action="store_true", help="how much of each case's time is malloc's, by `perf record`")
    what.add_argument("--list", action="store_true", help="what there is, and why")
    p.add_argument("--only", metavar="NAME,NAME", help="these workloads, programs or curves alone")
    p.add_argument("--peers", metavar="NAME,NAME", help="these allocators alone")
    p.add_argument("--rounds", type=int, help="interleaved rounds (11; --live 9, --quick and --chains 7, --rss and --scaling 3)")
    p.add_argument("--scale", type=float, default=1, help="of the amount of work in the bench's own workloads")
    p.add_argument("--with", dest="given", action="append", default=[], metavar="NAME=LIB", help="one more allocator")
    p.add_argument("--nocount", action="store_true", help="also malloc9 without tags and counters: what counting costs")
    p.add_argument("--json", metavar="FILE", help="every run and the summary")
    p.add_argument("--svg", metavar="FILE", help="a picture")
    p.add_argument("--build", metavar="DIR", default=os.path.join(ROOT, "build"), help="build folder (%(default)s)")
    p.add_argument("--no-build", action="store_true", help="take what the build folders hold")
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


def only(a, things, name_of):
    """What --only leaves of things; a name that none has is an error."""
    if not a.only:
        return things
    wanted = set(a.only.split(","))
    unknown = wanted - {name_of(t) for t in things}
    if unknown:
        raise SystemExit(f"bench: no such thing: {', '.join(sorted(unknown))} (see --list)")
    return [t for t in things if name_of(t) in wanted]


def all_cases(a, workloads):
    """The cases of the full run that --only leaves; says which programs are missing."""
    cases = programs.own_workloads(workloads, a.scale) + programs.real_programs()
    here, missing = programs.available(only(a, cases, lambda c: c.name))
    for line in missing:
        say(f"missing: {line}")
    return here, missing


def show_list(a):
    for name, members in programs.lists().items():
        print(f"{name}:")
        for member, why in members.items():
            print(f"  {member:16}{why}")
    print("curves (--scaling):\n  " + " ".join(scaling.POINTS))
    print("given back (--rss):\n  " + " ".join(c.name for c in given_back.cases("", 1)))


def show_bars(a, subject, bars):
    """Bars are malloc9's, at the full amount of work."""
    if subject.ours and a.scale == 1:
        print("\n" + report.bar_lines(bars))


def run_quick(a, runner, peers, workloads):
    found = quick.measure(runner, peers, workloads, a.rounds or 7, say)
    print(quick.table(found, peers[0].name))
    if "glibc" in found:
        show_bars(a, peers[0], quick.bars(found, peers[0].name))
    return {"quick": found}


def run_rss(a, runner, peers, workloads):
    todo = only(a, given_back.cases(workloads, a.scale), lambda c: c.name)
    found = given_back.measure(runner, todo, peers, a.rounds or 3, say)
    print(given_back.table(found, peers))
    show_bars(a, peers[0], given_back.bars(found, peers[0].name))
    return {"rss": found}


def run_chains(a, runner, peers, workloads):
    if not peers[0].ours:
        raise SystemExit("bench: --chains is about malloc9, which --peers leaves out")
    found = chains.measure(runner, chains.cases(workloads, a.scale), peers[0], a.rounds or 7, say)
    print(chains.table(found))
    show_bars(a, peers[0], chains.bars(found))
    return {"chains": found}


def run_live(a, runner, peers, workloads):
    if not peers[0].ours:
        raise SystemExit("bench: --live is about malloc9, which --peers leaves out")
    found = live.measure(runner, live.cases(workloads, a.scale), peers[0], a.rounds or 9, say)
    if a.scale == 1:
        live.check_looks(found)
    print(live.table(found))
    show_bars(a, peers[0], live.bars(found))
    return {"live": found}


def run_scaling(a, runner, peers, workloads):
    curves = only(a, list(scaling.POINTS), str)
    module = os.path.join(a.build, "test/bench/libbench_module.so")
    found = scaling.measure(runner, curves, peers, a.rounds or 3, workloads, module, a.scale, say)
    print(scaling.table(found))
    show_bars(a, peers[0], scaling.bars(found, peers[0].name))
    if a.svg:
        picture.scaling_picture(a.svg, found)
    return {"scaling": found}


def run_shares(a, runner, peers, workloads):
    if not shutil.which("perf"):
        raise SystemExit("bench: --shares needs perf (Debian's package linux-perf)")
    cases, missing = all_cases(a, workloads)
    print(shares.table(cases, runner, peers_of.find_library("libc.so.6"), say))
    return {"missing": missing}


def run_full(a, runner, peers, workloads):
    cases, missing = all_cases(a, workloads)
    lists = programs.lists()
    found = full.run(runner, cases, peers, a.rounds or 11, say)
    subject = peers[0].name
    print(report.tables(found, lists, peers, subject))
    show_bars(a, peers[0], full.bars(found, lists, peers, subject) if peers[0].ours else [])
    if a.svg:
        picture.full_picture(a.svg, found, lists, peers)
    return {"runs": found, "summary": full.summary(found, lists, peers, subject), "missing": missing}


def run_chosen(a, peers):
    """Runs what was asked for and returns its part of the JSON."""
    workloads = os.path.join(a.build, "test/bench/workloads")
    chosen = (run_quick if a.quick else run_rss if a.rss else run_scaling if a.scaling else
              run_chains if a.chains else run_live if a.live else
              run_shares if a.shares else run_full)
    with tempfile.TemporaryDirectory(prefix="malloc9-bench-") as work:
        runner = runs.Runner(a.build, work)
        try:
            result = chosen(a, runner, peers, workloads)
        except runs.Failed as e:
            raise SystemExit(f"bench: {e}") from e
        modes = {name: sorted(m) for name, m in runner.modes.items()}
    for name, m in modes.items():
        print(f"{name} ran in mode {' and '.join(m)}")
    return dict(result, modes=modes)


def main():
    a = arguments()
    if a.list:
        show_list(a)
        return
    peers, missing = peers_of.find_peers(build_all(a), a.given)
    peers = choose(peers, a.peers)
    for line in missing:
        say(f"missing: {line}")
    result = run_chosen(a, peers)
    result["missing"] = missing + result.get("missing", [])
    result.update(machine=machine(), peers={p.name: p.describe() for p in peers}, options=vars(a))
    if a.json:
        with open(a.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
