#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""declared_test.py CASE PROGRAM [ARGUMENTS...]: a program that uses malloc9.h keeps books of its own, which the library's
statistics equal; and it runs without the library."""
import json
import os
import re
import resource
import signal
import subprocess
import sys

import harness

FIELDS = ("numallocs", "numfrees", "memalloced", "memfreed")
TOLD = re.compile(r"malloc9: free9 of 0x[0-9a-f]+ as type (\w+): an item of \d+ bytes of type (\S+); "
                  r"the next ones are only counted")


def last_line(text):
    return json.loads(text.splitlines()[-1])


def run_without(argv):
    """The program without the library: the same, with nothing counted."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LD_PRELOAD", "MALLOC9_CONF"))}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    harness.equal((done.returncode, done.stderr), (0, ""), f"without the library: {done.stdout}: status and stderr")
    return done.stdout


def compare(books, stats, only_numbers=False):
    """Every declared type is in the statistics once, with the program's own figures."""
    for name, want in books.items():
        found = [[entry[field] for field in FIELDS] for entry in stats["types"] if entry["type"] == name]
        if any(want) or found:
            harness.equal(len(found), 1, f"types named {name}")
            size = 2 if only_numbers else 4
            harness.equal(found[0][:size], want[:size], f"{name}: {', '.join(FIELDS[:size])}")
    harness.check(any(any(want) for want in books.values()), "the program did nothing")


def note(stats, name):
    return stats["notes"].get(name, 0) if isinstance(stats["notes"], dict) else next(
        entry["value"] for entry in stats["notes"] if entry["name"] == name)


def check_told(stderr, program, want_count, stats):
    lines = [line for line in stderr.splitlines() if "audit: ok" not in line]
    pairs = []
    for line in lines:
        match = TOLD.fullmatch(line)
        harness.check(match, f"not expected: {line}")
        pairs.append(match.groups())
    harness.equal(note(stats, "frees to a wrong type"), want_count, "wrong frees")
    return [(to, re.sub(re.escape(program) + r"!(\w+)\+0x[0-9a-f]+", r"@\1", own)) for to, own in pairs]


def case(name, argv):
    """Frees to a wrong type are in `wrong_type`, where they are what is tested, and in `calls`."""
    harness.equal(last_line(run_without(argv) or '{"present": 0}')["present"], 0, "the library in a run without it")
    result = harness.run_preloaded(argv, conf={"audit": "exit"})
    harness.check("malloc9: audit: ok" in result.stderr, result.stderr)
    told = last_line(result.stdout)
    harness.equal(told["present"], 1, "the library in a run with it")
    if name == "forked":
        harness.equal(len(result.children), 1, "dumps of children")
        compare(told["books"], result.children[0])
        return
    compare(told["books"], result.stats, only_numbers=name == "objects")
    program = os.path.basename(argv[0])
    if name == "wrong_type":
        harness.equal(check_told(result.stderr, program, 5, result.stats),
                      [("bar", "foo"), ("foo", "bar"), ("foo", "@wrong_type")], "lines")
    elif name == "calls":
        harness.equal(check_told(re.sub("realloc9 of", "free9 of", result.stderr), program,
                                 note(result.stats, "frees to a wrong type"), result.stats), [("bar", "foo")], "lines")
    else:
        harness.equal(check_told(result.stderr, program, 0, result.stats), [], "lines")


def switch_offset():
    """Where the switch of malloc's fast path lies in the library, in hexadecimal; it is on in one mode only.
    It has a line of its own in its page: fast_line of shim/percpu_layout.h, behind the line's first 8 bytes."""
    symbols = subprocess.run(["nm", harness.library()], capture_output=True, text=True, check=True).stdout
    (address,) = re.findall(r"^([0-9a-f]+) \w _ZN2m94fastE$", symbols, re.MULTILINE)
    return f"{int(address, 16) + 61 * 64 + 8:x}" if harness.default_mode() == "rseq" else "0"


def death(argv):
    """Stopped by SIGABRT, after the line that the program announced."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = subprocess.run(argv, env=harness.preload_env(), capture_output=True, text=True, timeout=30, check=False)
    harness.equal(done.stderr, done.stdout, "stderr")
    harness.equal(done.returncode, -signal.SIGABRT, "status")


def main():
    name, argv = sys.argv[1], sys.argv[2:]
    try:
        argv += [switch_offset()] if name == "ended" else []
        death(argv) if name in ("bad_magic", "never") else case(name, argv)
    except harness.Failed as failure:
        sys.exit(f"FAILED: {failure}")


main()
