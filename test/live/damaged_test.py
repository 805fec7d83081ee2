#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""damaged_test.py DAMAGED ROUNDS: live files with damaged indices, read."""
import subprocess
import sys

import harness
import live

with live.folder() as folder:
    subprocess.run(["/usr/bin/perl", "-e", "my @a = map { { $_ => 1 } } 1..2000"], check=True, timeout=60,
                   env=harness.preload_env(conf={"stats": folder}))
    done = subprocess.run([sys.argv[1], live.files(folder)[0], sys.argv[2]], timeout=900, check=False,
                          stderr=subprocess.DEVNULL)
    sys.exit(done.returncode)
