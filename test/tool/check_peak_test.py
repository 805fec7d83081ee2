#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""check_peak_test.py PEAKS: `malloc9 check` holds the whole program to the peak that the library keeps, which sees what
no type's own peak tells: that two of them came at the same time."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile

import harness
from harness import check, equal, read_text, write_text

PEAKS = sys.argv.pop(1)
MIB = 1 << 20
TAKEN = 1024 * 10240  # bytes, by each of the two functions
CACHES = 2 * MIB  # how far the bounds may be apart: there is one size, and one thread
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "version1.m9")


def malloc9(*arguments, status=0):
    done = subprocess.run([harness.tool(), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, status, f"status of {arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def limits(*arguments, status=0):
    return json.loads(malloc9("check", *arguments, "--json", status=status))["limits"]


@contextlib.contextmanager
def made():
    """Files of the program: a dump and a live file for each way to run it, and a place for more."""
    with tempfile.TemporaryDirectory(prefix="malloc9-peak-", dir="/dev/shm") as folder:
        files = {}
        for way in "together", "apart":
            os.mkdir(os.path.join(folder, way), 0o700)
            dump = os.path.join(folder, way + ".m9")
            subprocess.run([PEAKS, way], check=True, timeout=60,
                           env=harness.preload_env(conf={"stats": os.path.join(folder, way), "dump": dump}))
            live = [os.path.join(folder, way, name) for name in os.listdir(os.path.join(folder, way))]
            equal(len(live), 1, "live files")
            for path in dump, live[0]:
                taken = [entry for entry in harness.read_stats(path)["types"] if "!second_take" in entry["type"]]
                equal([entry["numallocs"] for entry in taken], [1024], "the library was in use")
            files[way] = [dump, *live]
        yield files, os.path.join(folder, "budget.toml")


def whole():
    with made() as (files, budget):
        write_text(budget, '[[budget]]\ntype = "*"\npeak = "15 MiB"\n\n[[budget]]\nfunction = "peaks!*_take"\npeak = "15 MiB"\n')
        for way, status, taken in ("together", 1, 2 * TAKEN), ("apart", 0, TAKEN):
            for path in files[way]:
                all_of_it, parts = limits(path, "--budget", budget, status=status)
                audit = json.loads(malloc9("audit", "--json", path))
                least, most = all_of_it["measured"], all_of_it["measured_most"]
                equal([least, most], [audit["peak_least"], audit["peak_most"]], "the bounds")
                check(least <= taken + MIB and taken <= most < least + CACHES, f"{way}: {taken} is not in {least}..{most}")
                equal([all_of_it["exact"], all_of_it["kept"]], [False, status == 0], "of all")
                # Of the two functions together there is only what either held.
                check(9 * MIB < parts["measured"] <= TAKEN and "measured_most" not in parts, parts)
                equal(parts["kept"], True, "of the two functions")
        text = malloc9("check", files["together"][0], "--budget", budget, status=1)
        check(f"<= {15 * MIB}  {limits(files['together'][0], '--budget', budget, status=1)[0]['measured']}.." in text, text)
        # What matches all types by another name is the whole program as well.
        write_text(budget, '[[budget]]\nmodule = "*"\npeak = "15 MiB"\n')
        malloc9("check", files["together"][0], "--budget", budget, status=1)


def bounds():
    """A limit is broken where it is beyond both bounds, and kept where nobody can know."""
    with made() as (files, budget):
        path = files["together"][0]
        write_text(budget, '[[budget]]\ntype = "*"\npeak = 0\n')
        found = limits(path, "--budget", budget, status=1)[0]
        least, most = found["measured"], found["measured_most"]
        check(least < most, "the bounds are the same")
        for limit, status in ((f"{least}", 0), (f"{least - 1}", 1), (f"{{ min = {most} }}", 0), (f"{{ min = {most + 1} }}", 1),
                              (f"{{ exactly = {(least + most) // 2} }}", 0), (f"{{ exactly = {most + 1} }}", 1)):
            write_text(budget, f'[[budget]]\ntype = "*"\npeak = {limit}\n')
            malloc9("check", path, "--budget", budget, status=status)


def blessed():
    with made() as (files, budget):
        path, other = files["together"][0], files["apart"][0]
        audit = json.loads(malloc9("audit", "--json", path))
        write_text(budget, '[[budget]]\ntype = "*"\npeak = { min = 1, max = 2 } # both\n')
        malloc9("check", path, "--budget", budget, "--bless")
        equal(read_text(budget), f'[[budget]]\ntype = "*"\npeak = {{ min = {audit["peak_least"]}, max = {audit["peak_most"]} }} # both\n',
              "blessed")
        malloc9("check", path, "--budget", budget)
        malloc9("check", other, "--budget", budget, status=1)
        os.unlink(budget)
        malloc9("check", other, "--budget", budget, "--bless")
        check("\npeak = " in read_text(budget), read_text(budget))
        malloc9("check", other, "--budget", budget)
        text = malloc9("check", path, "--budget", budget, status=1)
        check(["function", "*", "peak", "<="] in [line.split()[:4] for line in text.splitlines()], text)


def baseline():
    with made() as (files, _):
        path, other = files["together"][0], files["apart"][0]
        malloc9("check", path, "--baseline", path)
        malloc9("check", other, "--baseline", path)
        broken = [found for found in limits(path, "--baseline", other, "--max-growth", "50%", status=1) if not found["kept"]]
        equal([(found["subject"], found["figure"]) for found in broken], [("all", "peak")], "what grew")
        malloc9("check", path, "--baseline", other, "--max-growth", "150%")
        # Without a peak in the older file there is nothing to hold it to.
        check(all(found["figure"] != "peak" for found in limits(path, "--baseline", GOLDEN, "--min-growth", 10**9, status=1)),
              "a peak of nowhere")


def others():
    """Merged files have a peak between the highest and the sum; a file that tells none has lower bounds."""
    with made() as (files, budget):
        parts = [json.loads(malloc9("audit", "--json", files[way][0])) for way in ("together", "apart")]
        merged = budget + ".m9"
        malloc9("merge", files["together"][0], files["apart"][0], "-o", merged)
        audit = json.loads(malloc9("audit", "--json", merged))
        equal([audit["peak_least"], audit["peak_most"]],
              [max(part["peak_least"] for part in parts), sum(part["peak_most"] for part in parts)], "merged")
        malloc9("merge", files["together"][0], GOLDEN, "-o", merged)
        write_text(budget, '[[budget]]\ntype = "*"\npeak = 1\n')
        for path in merged, GOLDEN:
            found = limits(path, "--budget", budget, status=1)[0]
            check("measured_most" not in found and not found["exact"], found)
            check(f"<= 1  >= {found['measured']}\n" in malloc9("check", path, "--budget", budget, status=1), path)


if __name__ == "__main__":
    harness.main(whole, bounds, blessed, baseline, others)
