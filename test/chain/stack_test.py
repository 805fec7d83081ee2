#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""stack_test.py SAMPLE PLUGIN: types that are whole chains (stack:N), with counts that are known otherwise."""
import collections
import os
import subprocess
import sys
import tempfile

import harness
import programs_test as loads

SAMPLE, PLUGIN = sys.argv[1:3]
SITE = "!leaf+0x"


def leaf_types(stats):
    return [entry for entry in stats["types"] if SITE in entry["type"]]


def dumped(argv, conf, *verbs, env=None):
    """What `malloc9 stat` prints of a run, once for each of `verbs`."""
    with tempfile.TemporaryDirectory() as folder:
        dump = os.path.join(folder, "dump.m9")
        done = subprocess.run(argv, env=harness.preload_env(conf={**conf, "dump": dump}, env=env), capture_output=True,
                              text=True, timeout=harness.DEFAULT_TIMEOUT, check=False)
        harness.equal(done.returncode, 0, f"{argv}: status")
        return done.stdout, [subprocess.run([harness.tool(), "stat", *verb, dump], capture_output=True, text=True,
                                            timeout=60, check=True).stdout for verb in verbs]


def test_known_chains():
    """Counts by functions, threads included, as the program says them."""
    said, (folded, tree) = dumped([SAMPLE, "known"], {"stack": 64, "audit": "exit"}, ["--folded"], ["--tree"])
    got = collections.Counter()
    for line in folded.splitlines():
        path, count = line.rsplit(" ", 1)
        functions = path.split(";")
        if functions[-1] != "leaf":
            continue
        own = [name for name in functions if name in ("main", "one", "two", "straight", "middle", "leaf") or
               name.endswith("::known")]
        start = "main" if "main" in functions else "thread"
        harness.check((start == "main") == ("_start" in functions), line)
        got[";".join(["main", "known"] if start == "main" else ["thread"]) + ";" +
            ";".join(name for name in own if name != "main" and not name.endswith("::known"))] += int(count)
    want = {line.split()[1]: int(line.split()[2]) for line in said.splitlines() if line.startswith("want ")}
    harness.equal(dict(got), want, "allocations by chain")
    total = sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines())
    mains = [line.split() for line in tree.splitlines() if line.endswith("  main")]
    harness.check(len(mains) == 1 and 60 <= int(mains[0][1]) < total, f"main in the tree: {mains}")


def test_depths():
    """stack:N tells chains apart by their first N frames."""
    for depth, types in (1, 1), (2, 2), (3, 3):
        result = harness.run_preloaded([SAMPLE, "known"], conf={"stack": depth})
        leaves = leaf_types(result.stats)
        harness.equal(len(leaves), types, f"stack:{depth}: types of leaf")
        harness.equal(sum(entry["numallocs"] for entry in leaves), 6060, f"stack:{depth}: allocations of leaf")
        harness.equal({len(entry["chain"]) for entry in leaves}, {depth}, f"stack:{depth}: frames")


def test_deep():
    """A chain that is deeper than N is its N innermost frames, whatever is above."""
    result = harness.run_preloaded([SAMPLE, "deep"], conf={"stack": 64})
    leaves = leaf_types(result.stats)
    harness.equal(sorted((len(entry["chain"]), entry["numallocs"]) for entry in leaves)[-1], (64, 2), "the deepest")
    harness.equal(len(leaves), 3, "types of leaf")
    harness.equal(sum(entry["numallocs"] for entry in leaves), 4, "allocations of leaf")


def test_many():
    """Each of 16,384 chains has a type, with exact counts; of 65,536 some are folded, and the report says how many."""
    result = harness.run_preloaded([SAMPLE, "many", 14], conf={"stack": 64})
    leaves = leaf_types(result.stats)
    harness.equal(len(leaves), 1 << 14, "types of leaf")
    harness.equal({entry["numallocs"] for entry in leaves}, {2}, "their counts")
    harness.equal(len({tuple(entry["chain"]) for entry in leaves}), 1 << 14, "their chains")
    harness.equal(result.stats["notes"]["sites folded"], 0, "sites folded")
    result = harness.run_preloaded([SAMPLE, "many", 16], conf={"stack": 64})
    leaves = leaf_types(result.stats)
    folded = result.stats["notes"]["sites folded"]
    print(f"of {1 << 16} chains of one size {len(leaves)} have a type, {folded} are folded", flush=True)
    harness.equal({entry["numallocs"] for entry in leaves}, {2}, "their counts")
    harness.check(len(leaves) > 30000, f"only {len(leaves)} chains fit")
    harness.check(len(leaves) + folded in range(1 << 16, (1 << 16) + 20), f"{len(leaves)} types and {folded} folded")
    other = sum(entry["numallocs"] for entry in result.stats["types"] if entry["type"] == "(other)")
    harness.check(other in range(2 * ((1 << 16) - len(leaves)), 2 * ((1 << 16) - len(leaves)) + 40),
                  f"{other} allocations of (other)")


def test_same_as_sites():
    """The types of a site are its chains: by name, they add up to what a run without stack: counts."""
    perl = [harness.find_program("perl"), "-e", loads.PERL]
    for argv, env in (perl, {"PERL_HASH_SEED": 0, "PERL_PERTURB_KEYS": 0}), ([SAMPLE, "known"], {}):
        for depth, stacks in (1, (0, 1, 64)), (2, (0, 2, 64)), (8, (0, 8, 64)):
            sums = []
            for stack in stacks:
                counts = collections.Counter()
                stats = harness.run_preloaded(argv, conf={"stack": stack, "depth": depth}, env=env).stats
                for entry in stats["types"]:
                    counts[entry["type"]] += entry["numallocs"]
                sums.append(counts)
            differ = {name: [counts[name] for counts in sums] for name in sums[0] | sums[1] | sums[2]
                      if len({counts[name] for counts in sums}) > 1}
            harness.check(not differ, f"{argv[0]}, depth {depth}: {differ}")
            harness.check(sum(sums[0].values()) > 5000, f"{argv[0]}: only {sum(sums[0].values())} allocations")


def test_modes():
    """The same in the modes that have no fast path."""
    for mode in "fallback", "notunable":
        result = harness.run_preloaded([SAMPLE, "known"], mode=mode, conf={"stack": 64, "audit": "exit"})
        leaves = leaf_types(result.stats)
        harness.equal(sorted(entry["numallocs"] for entry in leaves), [10, 20, 30, 2000, 4000], mode)


def test_plugins():
    """A plugin that is closed, and another at its address: two chains."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [os.path.join(folder, f"plugin{n}.so") for n in (1, 2)]
        for copy in copies:
            subprocess.run(["cp", PLUGIN, copy], check=True)
        result = harness.run_preloaded([SAMPLE, "plugins", *copies], conf={"stack": 64})
        places = {line for line in result.stdout.splitlines() if line.startswith("plugin at")}
        harness.equal(len(places), 1, "addresses of the plugins")
        leaves = leaf_types(result.stats)
        harness.equal(sorted((entry["chain"][1].split("+")[0], entry["numallocs"]) for entry in leaves),
                      [("plugin1.so", 7), ("plugin2.so", 7)], "leaf called by the plugins")


def test_rules():
    """A rule's type is one type, whatever the chain."""
    with tempfile.NamedTemporaryFile("w", suffix=".rules") as file:
        file.write("type leaves symbol leaf\n")
        file.flush()
        result = harness.run_preloaded([SAMPLE, "known"], conf={"stack": 64, "types": file.name})
        harness.equal([entry["numallocs"] for entry in result.types if entry["type"] == "leaves"], [6060], "leaves")


if __name__ == "__main__":
    sys.argv[1:] = sys.argv[3:]
    harness.main(test_known_chains, test_depths, test_deep, test_many, test_same_as_sites, test_modes, test_plugins,
                 test_rules)
