#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""library.py LIBRARY MAP: reads the built libmalloc9.so and tells what it may not be.

It needs libc alone, from glibc 2.35 on; exports exactly the names of the version script MAP; has at most 64 bytes of
initial-exec TLS, no executable stack, no segment both writable and executable, no text relocation; and each of its
restartable sequences is well-formed.
"""
import re
import struct
import sys

import elf_file
import rseq_table
from elf_file import Elf

NEEDED = {"libc.so.6", "ld-linux-x86-64.so.2"}
NEWEST_GLIBC = (2, 35)
MAX_TLS = 64


def map_names(text):
    """The names that a version script makes global."""
    text = re.sub(r"/\*.*?\*/|#[^\n]*", " ", text, flags=re.S)
    names = set()
    for part in re.findall(r"\bglobal\s*:(.*?)(?=\blocal\s*:|\})", text, re.S):
        names |= {name for name in re.split(r"[;\s]+", part) if name}
    return names


def check_needed(elf):
    for name in sorted(set(elf.needed()) - NEEDED):
        yield f"needs {name}"
    if "libc.so.6" not in elf.needed():
        yield "does not need libc.so.6"


def check_imports(elf):
    """A strong import without a version is one that no glibc has; a newer version keeps the library from loading."""
    for symbol in elf.dynamic_symbols():
        if symbol.section != elf_file.SHN_UNDEF:
            continue
        if symbol.version is None and symbol.binding != elf_file.STB_WEAK:
            yield f"imports {symbol.name}, which is not glibc's, and not weakly"
        if symbol.version and symbol.version.startswith("GLIBC_"):
            number = symbol.version.removeprefix("GLIBC_")
            if not re.fullmatch(r"[\d.]+", number) or tuple(map(int, number.split("."))) > NEWEST_GLIBC:
                yield f"imports {symbol.name}@{symbol.version}: glibc 2.35 has it not"


def check_exports(elf, wanted):
    found = {symbol.name for symbol in elf.dynamic_symbols() if symbol.section != elf_file.SHN_UNDEF}
    # The version's own name is a symbol too.
    found = {name for name in found if not name.startswith("MALLOC9_")}
    for name in sorted(found - wanted):
        yield f"exports {name}, which the list of names has not"
    for name in sorted(wanted - found):
        yield f"does not export {name}"
    for name in ("malloc", "free", "malloc_usable_size", "_Znwm"):
        if name not in wanted:
            yield f"the list of names has no {name}"


def check_tls(elf):
    for segment in elf.segments:
        if segment.type == elf_file.PT_TLS and segment.memsz > MAX_TLS:
            yield f"has {segment.memsz} bytes of TLS, more than {MAX_TLS}"
    for relocation in elf.relocations():
        if relocation.type in elf_file.TLS_MODULE_RELOCATIONS:
            yield f"has TLS that is not initial-exec: {elf_file.TLS_MODULE_RELOCATIONS[relocation.type]}"
    if any(symbol.name == "__tls_get_addr" for symbol in elf.dynamic_symbols()):
        yield "calls __tls_get_addr"


def check_segments(elf):
    stacks = [segment for segment in elf.segments if segment.type == elf_file.PT_GNU_STACK]
    if not stacks or any(segment.flags & elf_file.PF_X for segment in stacks):
        yield "asks for an executable stack"
    for segment in elf.segments:
        if segment.type == elf_file.PT_LOAD and segment.flags & elf_file.PF_W and segment.flags & elf_file.PF_X:
            yield f"has a segment at {segment.vaddr:#x} that is writable and executable"
    if any(tag == elf_file.DT_TEXTREL for tag, _ in elf.dynamic()) or (
            elf.dynamic_value(elf_file.DT_FLAGS) & elf_file.DF_TEXTREL):
        yield "has text relocations"


def complaints(path, map_text):
    """Everything that is wrong with the library at `path`."""
    elf = Elf(path)
    yield from check_needed(elf)
    yield from check_imports(elf)
    yield from check_exports(elf, map_names(map_text))
    yield from check_tls(elf)
    yield from check_segments(elf)
    yield from rseq_table.complaints(elf)


def main():
    try:
        with open(sys.argv[2], encoding="utf-8") as map_file:
            found = list(complaints(sys.argv[1], map_file.read()))
    except (struct.error, ValueError, StopIteration) as error:
        found = [f"cannot be read: {error}"]
    print(*found, sep="\n")
    print(f"{len(found)} complaints, {len(rseq_table.entries(Elf(sys.argv[1])))} restartable sequences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
