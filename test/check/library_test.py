#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Proves that each check of library.py catches what it is for: builds library_sample.c right, and then wrong."""
import os
import pathlib
import subprocess
import tempfile

import harness
import library

SAMPLE = pathlib.Path(__file__).with_name("library_sample.c")
NAMES = "{ global: malloc; free; malloc_usable_size; /* why */ _Znwm; %s local: *; };"
RSEQ = "__rseq_cs[0] "

# (compiler's arguments, more names in the version script, what must be said: the start of each complaint)
CASES = [
    (["-DVERSION=\"1\""], "", [RSEQ + "version 1, flags 0"]),
    (["-DFLAGS=\"2\""], "", [RSEQ + "version 0, flags 2"]),
    (["-DSTART=\"storage_of_data\"", "-DLENGTH=\"4\"", "-Wa,--defsym,storage_of_data=0"], "",
     [RSEQ + "starts at 0x0, outside of the code"]),
    (["-DLENGTH=\"0\""], "", [RSEQ + "has 0 bytes"]),
    (["-DLENGTH=\"65536\""], "", [RSEQ + "has 65536 bytes"]),
    (["-DABORT=\"4f\"", "-DSIGNATURE=\"0\""], "", [RSEQ + "aborts to", RSEQ + "has"]),
    (["-DABORT=\"1\""], "", [RSEQ + "aborts to 0x1, outside of the code"]),
    (["-DSIGNATURE=\"0x53053054\""], "", [RSEQ + "has 0x53053054 in front"]),
    (["-DTABLE=\"__other\""], "", ["has no restartable sequence"]),
    (["-DAGAIN"], "", ["__rseq_cs: the sequences at"]),
    (["-DTLS_SIZE=65"], "", ["has 65 bytes of TLS"]),
    (["-DTLS_MODEL=\"global-dynamic\""], "", ["has TLS that is not initial-exec", "calls __tls_get_addr"]),
    (["-Wl,-z,execstack"], "", ["asks for an executable stack"]),
    (["-DWRITABLE_CODE"], "", ["has a segment at"]),
    (["-DEXTRA"], "extra;", ["exports extra"]),
    ([], "calloc;", ["does not export calloc"]),
    (["-Wl,--no-as-needed", "-lm"], "", ["needs libm.so.6"]),
    (["-nostdlib"], "", ["does not need libc.so.6", "imports explicit_bzero"]),
    (["-DIMPORT=nobody"], "", ["does not need libc.so.6", "imports nobody, which is not glibc's"]),
    (["-DIMPORT=arc4random_buf"], "", ["imports arc4random_buf@GLIBC_2.36"]),
]


def said_of(arguments, more_names):
    with tempfile.TemporaryDirectory() as folder:
        built, names = os.path.join(folder, "lib.so"), os.path.join(folder, "map")
        text = NAMES % more_names
        pathlib.Path(names).write_text(text)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", f"-Wl,--version-script={names}", "-o", built, SAMPLE,
                        *arguments], check=True)
        return list(library.complaints(built, text.replace("extra;", "")))


def right_library_passes():
    harness.equal(said_of([], ""), [])


def each_check_catches():
    for arguments, more_names, wanted in CASES:
        said = said_of(arguments, more_names)
        fit = len(said) == len(wanted) and all(text.startswith(start) for text, start in zip(said, wanted))
        harness.check(fit, f"{arguments} {more_names}: said {said}, want {wanted}")


harness.main(right_library_passes, each_check_catches)
