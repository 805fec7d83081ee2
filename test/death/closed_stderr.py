#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""closed_stderr.py PROGRAM: a misuse after the program took stderr's number for a file of its own."""
import os
import resource
import signal
import subprocess
import sys
import tempfile

import harness


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mine")
        harness.run_preloaded([sys.argv[1], path, "calm"])
        done = subprocess.run([sys.argv[1], path], env=harness.preload_env(), capture_output=True, timeout=30,
                              check=False)
        harness.equal(done.returncode, -signal.SIGABRT, "status")
        with open(path, "rb") as file:
            harness.equal(file.read(), b"mine", "the program's own file")
        line = done.stderr.decode()
        harness.check(line == "" or (line.startswith("malloc9: double free of 0x") and line.count("\n") == 1),
                      f"stderr: {line!r}")


main()
