#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""gdb_test.py COUNT: with stack:64, the chains of COUNT random allocations in each of five of Debian's programs are gdb's
backtraces, frame by frame: as the library reads them off the stack, and as they stand in the statistics."""
import collections
import json
import os
import subprocess
import sys
import tempfile

import harness
import programs_test as loads

HERE = os.path.dirname(os.path.abspath(__file__))


def run_gdb(argv, env, count, gap, folder):
    """What gdb_compare.py found, and the statistics of the program."""
    out, dump = os.path.join(folder, "samples.json"), os.path.join(folder, "dump.m9")
    preload = harness.preload_env(conf={"stack": 64, "dump": dump}, env=env)
    wanted = {name: preload[name] for name in ("LD_PRELOAD", "MALLOC9_CONF", *env)}
    wrapper = "env " + " ".join(f"{name}={value}" for name, value in wanted.items())
    gdb = [harness.find_program("gdb"), "-nx", "-batch", "-ex", "set exec-wrapper " + wrapper, "-x",
           os.path.join(HERE, "gdb_compare.py"), "--args", *argv]
    own = {**os.environ, "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8", "COMPARE_COUNT": str(count), "COMPARE_GAP": str(gap),
           "COMPARE_OUT": out, "COMPARE_SEED": "9"}
    done = subprocess.run(gdb, env=own, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=1500, check=False)
    harness.check(os.path.exists(out), f"{argv[0]}: gdb: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    with open(out, encoding="ascii") as file:
        samples = json.load(file)
    harness.check(os.path.exists(dump), f"{argv[0]} left no dump: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    stats = harness.read_stats(dump)
    harness.check_in_use(stats)
    return samples, stats


def compare(name, samples, stats, count):
    """What is wrong with the samples of one program."""
    wrong = []
    chains = {tuple(entry["chain"]) for entry in stats["types"] if "chain" in entry}
    for n, sample in enumerate(samples):
        recorded, backtrace = sample["recorded"], sample["gdb"]
        if recorded != backtrace:
            at = next((i for i, pair in enumerate(zip(recorded, backtrace)) if pair[0] != pair[1]),
                      min(len(recorded), len(backtrace)))
            wrong.append(f"sample {n}: {len(recorded)} frames, gdb has {len(backtrace)}; they differ from frame {at} on: "
                         f"{sample['places'][max(at - 2, 0):at + 2]}")
        elif sample["same"] != 1:
            wrong.append(f"sample {n}: the node is of another chain")
        elif tuple(sample["places"]) not in chains:
            wrong.append(f"sample {n}: the statistics have no chain {sample['places']}")
    if len(samples) != count:
        wrong.append(f"only {len(samples)} samples")
    lengths = [len(sample["gdb"]) for sample in samples]
    different = len({tuple(sample["gdb"]) for sample in samples})
    print(f"{name}: {len(samples)} samples, {different} different chains of {min(lengths)} to {max(lengths)} frames, "
          f"{len(wrong)} wrong; {len(chains)} chains in the statistics", flush=True)
    if different < 10:
        wrong.append(f"only {different} chains, which proves little")
    return [f"{name}: {text}" for text in wrong]


def cases(folder):
    """Programs, and how many allocations by chains that are known they make at least."""
    texts = {"load.sh": loads.BASH, "load.pl": loads.PERL, "load.sql": loads.SQL, "load.py": loads.PYTHON,
             "load.cc": loads.CPP}
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    subprocess.run(["g++", "-E", "load.cc", "-o", "load.ii"], cwd=folder, check=True)
    compiler = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True,
                              check=True).stdout.strip()
    return [("bash", ["bash", "load.sh"], {}, 500000), ("perl", ["perl", "load.pl"], {}, 100000),
            ("sqlite3", ["sqlite3", "-init", "load.sql", ":memory:", ".exit"], {}, 11000),
            ("python3", ["/usr/bin/python3", "load.py"], {"PYTHONMALLOC": "malloc"}, 150000),
            ("cc1plus", [compiler, "-quiet", "-O1", "load.ii", "-o", "load.s"], {}, 200000)]


def main():
    count, wrong = int(sys.argv[1]), []
    with tempfile.TemporaryDirectory() as folder:
        for name, argv, env, calls in cases(folder):
            gap = min(calls * 4 // (count * 5), 60)
            argv = [harness.find_program(argv[0])] + argv[1:]
            wrong += compare(name, *run_gdb(argv, env, count, gap, folder), count)
            os.unlink(os.path.join(folder, "dump.m9"))
            os.unlink(os.path.join(folder, "samples.json"))
    counts = collections.Counter(text.split(":")[0] for text in wrong)
    harness.check(not wrong, f"{dict(counts)}\n" + "\n".join(wrong[:20]))


if __name__ == "__main__":
    try:
        main()
    except harness.Failed as failure:
        sys.exit(f"FAILED: {failure}")
