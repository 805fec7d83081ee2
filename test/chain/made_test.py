#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""made_test.py COMPILER SOURCE...: the hand-made program, built by one compiler in several ways: each function's
allocations, as the library names them, are those that the program counted."""
import collections
import os
import subprocess
import sys
import tempfile

import harness

BUILDS = [(level, frame) for level in ("-O0", "-O2") for frame in ("-fomit-frame-pointer", "-fno-omit-frame-pointer")]


def function_of(type_name):
    """The function that a type is named after; the part of it that a compiler moved away has a suffix."""
    return type_name.rsplit("+0x", 1)[0].split(".cold")[0].split(".part.")[0]


def by_function(stats):
    counts = collections.Counter()
    for entry in stats["types"]:
        counts[function_of(entry["type"])] += entry["numallocs"]
    return counts


def compare(lines, counts, module):
    """The lines that the library's counts are not equal to."""
    wrong, either = [], collections.Counter()
    exact = dict(line.split()[1:] for line in lines if line.startswith("exact "))
    for line in lines:
        kind, function, *rest = line.split()
        if kind == "either":
            # A function is in one kind of line only, so that each count can be told.
            harness.check(function not in exact, f"{function} is in both kinds of lines")
            either[function] += int(rest[-1])
            either[rest[0]] += 0
    for function, count in exact.items():
        got = counts.pop(f"{module}!{function}", 0)
        if got != int(count):
            wrong.append(f"{function}: library {got}, program {count}")
    got = {name: counts.pop(f"{module}!{name}", 0) for name in either}
    if sum(got.values()) != sum(either.values()):
        wrong.append(f"where no chain is possible: library {got}, program {dict(either)}")
    for function, count in either.items():
        if count and got[function] > count:
            wrong.append(f"{function}: library {got[function]}, program at most {count}")
    for name, count in counts.items():
        if name.startswith(module + "!want") or (name.startswith(module) and name != module + "!first_malloc"):
            wrong.append(f"{name}: {count} allocations that the program did not count")
    return wrong


def main():
    compiler, sources = sys.argv[1], sys.argv[2:]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for level, frame in BUILDS:
            module = f"made{level}{frame}"
            argv = [compiler, "-std=c++20", "-pthread", "-Wno-vla", level, frame, "-o", os.path.join(folder, module)]
            running.append((module, subprocess.Popen(argv + sources)))
        for module, compile_run in running:
            harness.equal(compile_run.wait(), 0, f"status of {compiler} for {module}")
        for module, _ in running:
            for mode in ("rseq", "fallback"):
                result = harness.run_preloaded([os.path.join(folder, module)], mode=mode, conf={"audit": "exit"},
                                               check_rc=None)
                harness.equal(result.rc, 0, f"{module} in mode {mode}: status")
                harness.check("malloc9: audit: ok: " in result.stderr, f"no good audit: {result.stderr}")
                lines = result.stdout.splitlines()
                harness.check(len(lines) > 20, f"{module}: only {len(lines)} lines")
                wrong += [f"{module}, {mode}: {text}" for text in compare(lines, by_function(result.stats), module)]
    harness.check(not wrong, "\n".join(wrong))


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
