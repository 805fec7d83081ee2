#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make_corpus.py FOLDER: writes real inputs for cfi_fuzz, from small programs that gcc and clang compile here.

An input: 4 bytes where .eh_frame_hdr lies, 4 bytes the address asked for, the segment from .eh_frame_hdr on as it would
lie at the target's address. The kept corpus is what `cfi_fuzz -merge=1 corpus FOLDER` leaves of them.
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

SEGMENT = 0x10000000  # cfi_fuzz's
PROGRAMS = {
    "plain": "int g(int); int f(int a) { return g(a) + g(a + 1); } int h(void) { return 1; }",
    "saves": "int g(int, int, int, int); int f(int a, int b, int c) { int r = 0; for (int i = 0; i < a; i++)"
             " r += g(a, b, c, r) * g(r, a, b, c); return r ? g(a, a, r, c) : 0; }",
    "variable": "int g(char *); int f(int n) { char a[n]; return g(a) + g(a + 1); }",
    "landing": "struct s { ~s(); }; void g(); int f() { s a; try { g(); } catch (int) { return 2; } return 1; }",
    "aligned": "void g(void *); void f(void) { char a[64] __attribute__((aligned(64))); g(a); g(a + 1); }",
}
COMPILERS = (["gcc", "-O2"], ["gcc", "-O0"], ["clang", "-O1", "-fno-omit-frame-pointer"])
EXPRESSIONS = """
.text
f: .cfi_startproc
 .cfi_personality 0x9b, p
 .cfi_lsda 0x1b, l
 .cfi_escape 0x0f,3,0x77,8,6
 nop
 .cfi_def_cfa 7, 16
 .cfi_remember_state
 .cfi_escape 0x10,6,2,0x77,0
 nop
 .cfi_restore_state
 .cfi_escape 0x2e,16
 .cfi_offset 6, -16
 .cfi_register 3, 1
 .skip 300
 .cfi_same_value 6
 .cfi_undefined 16
 .skip 70000
 .cfi_escape 0x12,7,0x7e,0x13,0x7d,0x11,6,2,0x2f,6,2,0x14,3,1,0x15,3,1,0x16,7,1,0x30
 nop
 .cfi_endproc
g: .cfi_startproc simple
 .cfi_signal_frame
 .cfi_def_cfa 7, 8
 nop
 .cfi_endproc
.section .data.rel.ro,"aw"
p: .quad g
l: .quad 0
.section .note.GNU-stack,""
"""


def sections(path):
    """{name: (address, bytes)} of an ELF file."""
    image = path.read_bytes()
    table, count, names = struct.unpack_from("<Q10xHHH", image, 40)[0], *struct.unpack_from("<HH", image, 60)
    headers = [struct.unpack_from("<IIQQQQ", image, table + 64 * i) for i in range(count)]
    strings = headers[names][4]
    found = {}
    for name, _, _, address, offset, size in headers:
        end = image.index(b"\0", strings + name)
        found[image[strings + name:end].decode()] = (address, image[offset:offset + size])
    return found


def inputs(path):
    found = sections(path)
    header_address, header = found[".eh_frame_hdr"]
    frame_address, frame = found[".eh_frame"]
    # All pointers are relative, so the segment may lie elsewhere; addresses asked for move with it.
    segment = header.ljust(frame_address - header_address, b"\0") + frame
    assert header[:4] == b"\1\x1b\3\x3b" and len(segment) < 8000
    for i in range(struct.unpack_from("<I", header, 8)[0]):
        start = struct.unpack_from("<i", header, 12 + 8 * i)[0] + SEGMENT
        for step in (0, 5, 40, 400):
            yield struct.pack("<II", 0, (start + step) & 0xFFFFFFFF) + segment


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    kept = set()
    with tempfile.TemporaryDirectory() as work:
        sources = []
        for name, text in PROGRAMS.items():
            sources.append(pathlib.Path(work, name + (".cc" if name == "landing" else ".c")))
            sources[-1].write_text(text)
        sources.append(pathlib.Path(work, "expressions.s"))
        sources[-1].write_text(EXPRESSIONS)
        for source in sources:
            for compiler in COMPILERS[:1] if source.suffix == ".s" else COMPILERS:
                library = source.with_suffix(".so")
                subprocess.run([*compiler, "-fpic", "-shared", "-nostdlib", source, "-o", library], check=True)
                kept.update(inputs(library))
    for number, data in enumerate(sorted(kept, key=lambda data: (len(data), data))):
        (folder / f"{number:03}").write_bytes(data)
    print(len(kept), "inputs")


if __name__ == "__main__":
    main()
