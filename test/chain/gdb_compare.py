# SPDX-License-Identifier: BSD-2-Clause
"""Run by gdb (gdb_test.py): stops at random allocations where the library has found their chain again, and compares it,
frame by frame, with gdb's backtrace.

At the head of m9::stack_node_is(node, frames, count) the chain that was read off the stack lies in `frames`; that the
function returns true says that the node, from which the type follows, stands for the same chain. Wanted in the
environment: COMPARE_COUNT, COMPARE_GAP, COMPARE_OUT, COMPARE_SEED."""
import json
import os
import random

import gdb

FRAMES_MOST = 64


def ours(frame):
    name = gdb.solib_name(frame.pc())
    return name is not None and "libmalloc9" in name


def backtrace():
    """Return addresses above the library's own frames, innermost first; inlined functions are no frames here."""
    addresses, frame = [], gdb.newest_frame()
    while frame is not None and ours(frame):
        frame = frame.older()
    while frame is not None and len(addresses) < FRAMES_MOST:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            addresses.append(frame.pc())
        frame = frame.older()
    return addresses


def recorded():
    """The library's frames, from the function's arguments."""
    inferior, count = gdb.selected_inferior(), int(gdb.parse_and_eval("$rdx")) & 0xffffffff
    memory = bytes(inferior.read_memory(int(gdb.parse_and_eval("(unsigned long)$rsi")), count * 8))
    return [int.from_bytes(memory[i * 8:i * 8 + 8], "little") for i in range(count)]


def load_bias(path, start):
    """Of a file whose first mapping starts there."""
    with open(path, "rb") as file:
        header = file.read(18)
    return start if header[16] == 3 else 0  # ET_DYN, whose first segment begins with 0


def places(addresses):
    """The same as `malloc9 stat --json` says it: file+0xoffset."""
    found, firsts = [], {}
    with open(f"/proc/{gdb.selected_inferior().pid}/maps", encoding="utf-8") as file:
        lines = [line.split(maxsplit=5) for line in file]
    maps = [(*(int(part, 16) for part in fields[0].split("-")), fields[5].strip()) for fields in lines
            if len(fields) == 6 and fields[5].startswith("/")]
    for start, _, path in maps:
        firsts.setdefault(path, start)
    for address in addresses:
        path = next((path for start, end, path in maps if start <= address < end), None)
        name = gdb.solib_name(address) or path  # as the loader knows it, which may be a link's name
        found.append(f"{os.path.basename(name)}+0x{address - load_bias(path, firsts[path]):x}" if path else "?")
    return found


def main():
    wanted, gap = int(os.environ["COMPARE_COUNT"]), int(os.environ["COMPARE_GAP"])
    generator = random.Random(int(os.environ["COMPARE_SEED"]))
    for setting in ("pagination off", "confirm off", "debuginfod enabled off", "debug-file-directory /nonexistent",
                    "backtrace past-main on", "backtrace past-entry on", "breakpoint pending on",
                    "print thread-events off", "disable-randomization off"):
        gdb.execute("set " + setting)
    gdb.execute("handle SIGPIPE SIGUSR1 SIGCHLD nostop noprint pass", to_string=True)
    gdb.execute("starti", to_string=True)
    stop = gdb.Breakpoint("m9::stack_node_is")
    samples = []
    while len(samples) < wanted:
        stop.ignore_count = generator.randrange(2 * gap)
        gdb.execute("continue", to_string=True)
        if not gdb.selected_inferior().threads():
            break
        sample = {"recorded": recorded(), "gdb": backtrace()}
        sample["places"] = places(sample["gdb"])
        gdb.execute("finish", to_string=True)
        sample["same"] = int(gdb.parse_and_eval("$rax")) & 0xff
        samples.append(sample)
    stop.enabled = False
    if gdb.selected_inferior().threads():
        gdb.execute("continue", to_string=True)
    with open(os.environ["COMPARE_OUT"], "w", encoding="ascii") as file:
        json.dump(samples, file)


main()
