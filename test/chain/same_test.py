#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""same_test.py SOURCE...: a single-threaded program has the same types and the same counts in every run, with its
addresses at random; and `depth:N` names the N-th frame."""
import os
import subprocess
import sys
import tempfile

import harness

PERL = """my %h; for my $i (1 .. 3000) { $h{"key$i"} = [ $i, "v" x ($i % 50) ]; }
my $text = join ",", map { "$_=$h{$_}[1]" } sort keys %h; my @a = split /,/, $text; s/v+/w/ for @a; print scalar @a;"""
FIELDS = ("numallocs", "numfrees", "memalloced", "memfreed")
RUNS = 3


def check_randomised():
    with open("/proc/sys/kernel/randomize_va_space", encoding="ascii") as file:
        harness.equal(int(file.read()), 2, "randomize_va_space")
    with open("/proc/self/personality", encoding="ascii") as file:
        harness.equal(int(file.read(), 16) & 0x0040000, 0, "ADDR_NO_RANDOMIZE")


def check_same(argv, env, least):
    runs = []
    for _ in range(RUNS):
        stats = harness.run_preloaded(argv, env=env, check_rc=True).stats
        types = {entry["type"]: [entry[field] for field in FIELDS] for entry in stats["types"]}
        harness.equal(len(types), len(stats["types"]), "types of different names")
        runs.append(types)
    total = sum(counts[0] for counts in runs[0].values())
    harness.check(total >= least, f"{argv[0]}: only {total} allocations")
    for types in runs[1:]:
        differ = [f"{name}: {runs[0].get(name)}, then {types.get(name)}"
                  for name in sorted(runs[0] | types) if runs[0].get(name) != types.get(name)]
        harness.check(not differ, f"{argv[0]}: {len(differ)} types differ:\n" + "\n".join(differ[:20]))
    print(f"{os.path.basename(argv[0])}: {len(runs[0])} types, {total} allocations: the same in {RUNS} runs", flush=True)


def check_depth(program):
    """want_deep wants 10 blocks through seven wrappers."""
    for depth in range(1, 9):
        types = harness.run_preloaded([program, "same"], conf={"depth": depth}).stats["types"]
        counts = {f"deep{n}_malloc": 0 for n in range(1, 8)} | {"want_deep": 0, "xmalloc": 0, "want_plain": 0}
        for entry in types:
            name = entry["type"].partition("!")[2].rsplit("+0x", 1)[0]
            if name in counts:
                counts[name] += entry["numallocs"]
        named = "want_deep" if depth == 8 else f"deep{depth}_malloc"
        for n in [name for name in counts if "deep" in name]:
            harness.equal(counts[n], 10 if n == named else 0, f"depth:{depth}: {n}")
        if depth == 1:
            harness.equal(counts["want_plain"], 0, "depth:1: want_plain")
            harness.check(counts["xmalloc"] >= 10, f"depth:1: xmalloc has {counts['xmalloc']}")
        else:
            harness.equal([counts["want_plain"], counts["xmalloc"]], [30, 0], f"depth:{depth}: want_plain, xmalloc")


def main():
    check_randomised()
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "made")
        subprocess.run(["g++", "-std=c++20", "-pthread", "-Wno-vla", "-O2", "-o", program, *sys.argv[1:]], check=True)
        check_same([program, "same"], {}, 500)
        check_depth(program)
    check_same([harness.find_program("perl"), "-e", PERL], {"PERL_HASH_SEED": 0, "PERL_PERTURB_KEYS": 0}, 10000)


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
