#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""reading_test.py JOURNAL READING SECONDS: a live file of a busy program is read a hundred times a second."""
import os
import signal
import subprocess
import sys
import tempfile

import harness
import live


def main():
    journal, reading, seconds = sys.argv[1:4]
    with live.folder() as folder, tempfile.NamedTemporaryFile() as books:
        process = subprocess.Popen([journal, books.name, "3"], stdout=subprocess.PIPE, start_new_session=True,
                                   env=harness.preload_env(conf={"stats": folder}))
        try:
            process.stdout.readline()
            done = subprocess.run([reading, live.file_of(folder, process.pid), seconds], capture_output=True, text=True,
                                  timeout=int(seconds) * 10 + 60, check=False)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        print(done.stdout, done.stderr)
        harness.equal(done.returncode, 0, done.stdout + done.stderr)
        reads = int(done.stdout.split()[0])
        harness.check(reads > int(seconds) * 10, f"only {reads} reads in {seconds} s")


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
