#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""symbols_test.py SYMBOLS_TIME: what a first look at a symbol costs in a library of 100,000 functions."""
import pathlib
import subprocess
import sys
import tempfile

COUNT = 100_000


def main():
    with tempfile.TemporaryDirectory() as work:
        source, library = pathlib.Path(work, "many.s"), pathlib.Path(work, "many.so")
        with source.open("w") as out:
            for i in range(COUNT):
                name = f"{'f' if i % 2 else 'e'}{i}"
                out.write(f"{'' if i % 2 else f'.globl {name}'}\n.type {name},@function\n.balign 16\n{name}:\n"
                          f".cfi_startproc\n.skip 16,0x90\n.cfi_endproc\n.size {name},16\n")
            out.write('.section .note.GNU-stack,""\n')
        subprocess.run(["gcc", "-shared", "-Wl,--build-id", source, "-o", library], check=True)
        sys.exit(subprocess.run([sys.argv[1], library, str(COUNT)], check=False).returncode)


if __name__ == "__main__":
    main()
