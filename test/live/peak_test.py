#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""peak_test.py PEAK: the peak of live bytes lies between the bounds that a dump and a live file give for it."""
import json
import subprocess
import sys
import tempfile

import harness
import live
from harness import check, equal

CACHES = 24 << 20  # what the caches of two CPUs hold at most of blocks below 1 MB, and of items
OTHERS = 64 * 1024  # live bytes of others than the program: stdio's buffer, the loader's


def main():
    for seed in range(1, 9):
        with live.folder() as folder, tempfile.NamedTemporaryFile() as dump:
            done = subprocess.run([sys.argv[1], str(seed)], capture_output=True, text=True, timeout=60, check=True,
                                  env=harness.preload_env(conf={"stats": folder, "dump": dump.name}))
            most = int(done.stdout)
            for path in (dump.name, live.files(folder)[0]):
                books = json.loads(live.tool("audit", "--json", path).stdout)
                equal(books["failures"], [], "audit")
                check(books["checks"] > 100, "nothing was checked")
                least, bound = books["peak_least"], books["peak_most"]
                check(least <= most + OTHERS and most <= bound, f"seed {seed}: {most} is not in {least}..{bound}")
                check(bound - least < CACHES, f"seed {seed}: {least}..{bound} is wide for {most}")
            print(f"seed {seed}: {least} <= {most} <= {bound}")


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
