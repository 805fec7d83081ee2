#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""rows_test.py ROWS: every row of real programs' and libraries' .eh_frame, read by shim/cfi.cc and by libdw."""
import os
import shutil
import subprocess
import sys

PROGRAMS = ("bash", "perl", "git", "python3", "cmake", "node", "redis-server", "clang-14")
LIBRARIES = ("libc.so.6", "libstdc++.so.6", "libm.so.6", "libcrypto.so.3", "libffi.so.8", "libgmp.so.10")


def compiler_says(question):
    return subprocess.run(["gcc", question], check=True, capture_output=True, text=True).stdout.strip()


def main():
    files = {os.path.realpath(path) for path in (shutil.which(name, path="/usr/bin") for name in PROGRAMS) if path}
    files |= {os.path.realpath(compiler_says("-print-file-name=" + name)) for name in LIBRARIES}
    files.add(compiler_says("-print-prog-name=cc1plus"))
    files = sorted(path for path in files if os.path.isfile(path))
    names = {os.path.basename(path).split(".")[0] for path in files}
    missing = {"libc", "libstdc++", "bash", "cc1plus"} - names
    if missing:
        sys.exit(f"not here: {missing}")
    sys.exit(subprocess.run([sys.argv[1], *files], check=False).returncode)


if __name__ == "__main__":
    main()
