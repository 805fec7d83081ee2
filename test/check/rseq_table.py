# SPDX-License-Identifier: BSD-2-Clause
"""The restartable sequences of a built library: section __rseq_cs, as the kernel's struct rseq_cs describes them.

The three addresses of an entry are filled in by the loader, so they are read from R_X86_64_RELATIVE relocations. The
kernel kills a process whose entry is ill-formed, but only when it is preempted inside it: hence a check of the file.
"""
from collections import namedtuple

import elf_file

SECTION = "__rseq_cs"
ENTRY_SIZE = 32
ALIGNMENT = 32
SIGNATURE = 0x53053053

Entry = namedtuple("Entry", "version flags start length abort")


def read_entry(elf, offset, address, relocated):
    """The entry at `offset` of the file, whose place in memory is `address`."""
    version, flags, start, length, abort = elf.unpack("IIQQQ", offset)
    return Entry(version, flags, relocated.get(address + 8, start), length, relocated.get(address + 24, abort))


def entries(elf):
    section = elf.section(SECTION)
    if section is None:
        return []
    relocated = {relocation.offset: relocation.addend for relocation in elf.relocations()
                 if relocation.type == elf_file.R_X86_64_RELATIVE}
    return [read_entry(elf, section.offset + at, section.addr + at, relocated)
            for at in range(0, section.size - section.size % ENTRY_SIZE, ENTRY_SIZE)]


def code_section(elf, address):
    """The executable section that holds `address`, or None."""
    section = elf.section_at(address)
    return section if section and section.flags & elf_file.SHF_EXECINSTR else None


def entry_complaints(elf, entry):
    if entry.version or entry.flags:
        yield f"version {entry.version}, flags {entry.flags}: both must be 0"
    code = code_section(elf, entry.start)
    if code is None:
        yield f"starts at {entry.start:#x}, outside of the code"
    elif not 0 < entry.length <= code.addr + code.size - entry.start:
        yield f"has {entry.length} bytes from {entry.start:#x}, which do not lie within {code.name}"
    if entry.start <= entry.abort < entry.start + entry.length:
        yield f"aborts to {entry.abort:#x}, inside of itself"
    if code_section(elf, entry.abort) is None or code_section(elf, entry.abort - 4) is None:
        yield f"aborts to {entry.abort:#x}, outside of the code"
        return
    signature = elf.unpack("I", elf.offset_of(entry.abort - 4))[0]
    if signature != SIGNATURE:
        yield f"has {signature:#x} in front of its abort handler at {entry.abort:#x}, not {SIGNATURE:#x}"


def complaints(elf):
    """Everything that is wrong with the table, and that two sequences share code."""
    section = elf.section(SECTION)
    if section is None or section.size == 0:
        yield f"has no restartable sequence: section {SECTION} is missing or empty"
        return
    if section.size % ENTRY_SIZE or section.addr % ALIGNMENT:
        yield f"{SECTION}: {section.size} bytes at {section.addr:#x} are not whole, aligned entries"
    table = entries(elf)
    for number, entry in enumerate(table):
        yield from (f"{SECTION}[{number}] {what}" for what in entry_complaints(elf, entry))
    ordered = sorted(table, key=lambda entry: entry.start)
    for first, second in zip(ordered, ordered[1:]):
        if second.start < first.start + first.length:
            yield f"{SECTION}: the sequences at {first.start:#x} and {second.start:#x} overlap"
