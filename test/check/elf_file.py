# SPDX-License-Identifier: BSD-2-Clause
"""Reads what the checks need of a 64-bit little-endian ELF shared library: a plain reading of the ELF and GNU
specifications with `struct`. Names follow <elf.h>."""
import pathlib
import struct
from collections import namedtuple

PT_DYNAMIC, PT_TLS, PT_GNU_STACK, PT_LOAD = 2, 7, 0x6474E551, 1
PF_X, PF_W = 1, 2
DT_NEEDED, DT_STRTAB, DT_TEXTREL, DT_FLAGS, DT_VERNEED, DT_VERNEEDNUM = 1, 5, 22, 30, 0x6FFFFFFE, 0x6FFFFFFF
DF_TEXTREL = 4
SHT_RELA, SHT_DYNSYM = 4, 11
SHF_EXECINSTR = 4
SHN_UNDEF, STB_WEAK = 0, 2
R_X86_64_RELATIVE = 8
TLS_MODULE_RELOCATIONS = {16: "R_X86_64_DTPMOD64", 36: "R_X86_64_TLSDESC"}

Section = namedtuple("Section", "name type flags addr offset size link entsize")
Segment = namedtuple("Segment", "type flags offset vaddr filesz memsz")
Symbol = namedtuple("Symbol", "name binding section version")
Relocation = namedtuple("Relocation", "offset type addend")


class Elf:
    def __init__(self, path):
        self.data = pathlib.Path(path).read_bytes()
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is not a 64-bit little-endian ELF file")
        (_, _, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx) = self.unpack(
            "HHIQQQIHHHHHH", 16)
        self.segments = [self.segment(phoff + index * phentsize) for index in range(phnum)]
        raw = [self.unpack("IIQQQQIIQQ", shoff + index * shentsize) for index in range(shnum)]
        names = raw[shstrndx][4]
        self.sections = [Section(self.string(names + name), kind, flags, addr, offset, size, link, entsize)
                         for name, kind, flags, addr, offset, size, link, _, _, entsize in raw]

    def unpack(self, layout, offset):
        return struct.unpack_from("<" + layout, self.data, offset)

    def string(self, offset):
        return self.data[offset:self.data.index(b"\0", offset)].decode()

    def segment(self, at):
        kind, flags, offset, vaddr, _, filesz, memsz, _ = self.unpack("IIQQQQQQ", at)
        return Segment(kind, flags, offset, vaddr, filesz, memsz)

    def section(self, name):
        """The section of that name, or None."""
        return next((section for section in self.sections if section.name == name), None)

    def section_at(self, address):
        """The section of memory in which `address` lies, or None."""
        return next((section for section in self.sections
                     if section.addr and section.addr <= address < section.addr + section.size), None)

    def offset_of(self, address):
        """Where the byte loaded at `address` lies in the file."""
        for segment in self.segments:
            if segment.type == PT_LOAD and segment.vaddr <= address < segment.vaddr + segment.filesz:
                return address - segment.vaddr + segment.offset
        raise ValueError(f"no byte of the file is loaded at {address:#x}")

    def dynamic(self):
        """[(tag, value)]"""
        part = next(segment for segment in self.segments if segment.type == PT_DYNAMIC)
        pairs = [self.unpack("QQ", part.offset + at) for at in range(0, part.filesz, 16)]
        return [pair for pair in pairs if pair[0]]

    def dynamic_value(self, tag, default=0):
        return next((value for name, value in self.dynamic() if name == tag), default)

    def needed(self):
        """The libraries that it must have."""
        strings = self.offset_of(self.dynamic_value(DT_STRTAB))
        return [self.string(strings + value) for tag, value in self.dynamic() if tag == DT_NEEDED]

    def needed_versions(self):
        """{index in .gnu.version: version name} of what it takes from other libraries."""
        versions = {}
        strings = self.offset_of(self.dynamic_value(DT_STRTAB))
        at = self.dynamic_value(DT_VERNEED)
        at = self.offset_of(at) if at else 0
        for _ in range(self.dynamic_value(DT_VERNEEDNUM)):
            _, count, _, aux, step = self.unpack("HHIII", at)
            place = at + aux
            for _ in range(count):
                _, _, index, name, aux_step = self.unpack("IHHII", place)
                versions[index] = self.string(strings + name)
                place += aux_step
            at += step
        return versions

    def dynamic_symbols(self):
        """The symbols that it exports (section not SHN_UNDEF) and imports; `version` is that of an import, or None."""
        table = next(section for section in self.sections if section.type == SHT_DYNSYM)
        strings = self.sections[table.link].offset
        numbers, versions = self.section(".gnu.version"), self.needed_versions()
        for index in range(1, table.size // table.entsize):
            name, info, _, section, _, _ = self.unpack("IBBHQQ", table.offset + index * table.entsize)
            version = self.unpack("H", numbers.offset + 2 * index)[0] & 0x7FFF if numbers else 0
            yield Symbol(self.string(strings + name), info >> 4, section, versions.get(version))

    def relocations(self):
        """All of the loader's relocations."""
        for section in self.sections:
            if section.type == SHT_RELA:
                for at in range(section.offset, section.offset + section.size, 24):
                    offset, info, addend = self.unpack("QQq", at)
                    yield Relocation(offset, info & 0xFFFFFFFF, addend)
