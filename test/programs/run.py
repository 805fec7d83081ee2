#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Run a real program under libmalloc9.so and judge its output and its dump: run.py CASE [--mode MODE] [--long].

--plain runs the same workload without the library, which proves the expected output. MALLOC9_LIB and MALLOC9_TOOL
name the library and the tool. Status: 0 good, 1 failed, 2 bad use, 77 skipped.
"""
import argparse
import importlib
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from cases import CASES
from evidence import Failure
from harness import MODES, SKIP
from session import Session, Skip

THEMES = ("shells", "interpreters", "compilers", "databases", "servers", "editors")


def options():
    parser = argparse.ArgumentParser(description="real programs under libmalloc9.so")
    parser.add_argument("case", nargs="*", help="cases to run, or all")
    parser.add_argument("--mode", choices=MODES, default=os.environ.get("MALLOC9_MODE") or "rseq")
    parser.add_argument("--long", action="store_true", help="larger workloads")
    parser.add_argument("--plain", action="store_true", help="without the library")
    parser.add_argument("--keep", action="store_true", help="leave the temporary files")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--limit", type=int, default=900, help="seconds for one case")
    chosen = parser.parse_args()
    chosen.lib = os.environ.get("MALLOC9_LIB", "")
    tool = os.environ.get("MALLOC9_TOOL", "")
    if not chosen.plain and not chosen.list and not (os.path.isfile(chosen.lib) and os.path.isfile(tool)):
        parser.error("MALLOC9_LIB and MALLOC9_TOOL must name the library and the tool")
    return chosen


def out_of_time(*unused):
    raise Failure("the whole case took too long")


def run_case(name, chosen):
    """The status of one case."""
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(chosen.limit)
    try:
        with Session(chosen) as session:
            CASES[name](session)
            signal.alarm(0)
            session.judge_all()
    except Skip as why:
        print(f"{name}: skipped: {why}")
        return SKIP
    except Failure as why:
        print(f"{name} ({'plain' if chosen.plain else chosen.mode}): FAILED: {why}")
        return 1
    finally:
        signal.alarm(0)
    print(f"{name} ({'plain' if chosen.plain else chosen.mode}): ok")
    return 0


def main():
    for theme in THEMES:
        importlib.import_module(theme)
    chosen = options()
    if chosen.list:
        print("\n".join(CASES))
        return 0
    names = chosen.case or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"run.py: no such case: {' '.join(unknown)}", file=sys.stderr)
        return 2
    results = [run_case(name, chosen) for name in names]
    return 1 if 1 in results else max(results)


if __name__ == "__main__":
    sys.exit(main())
