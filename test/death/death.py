#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""death.py TIMES PROGRAM [ARGS...]: runs a misuse program TIMES times; each run ends by SIGABRT after exactly the line
that the program announced on stdout. A calm run first, whose dump names the types and proves the library in use."""
import os
import re
import resource
import signal
import subprocess
import sys

import harness


def type_names(argv):
    """The full name of the type of each function's call site, from a calm run's dump."""
    calm = harness.run_preloaded([*argv, "calm"])
    harness.equal(calm.stderr, "", "stderr of the calm run")
    program = os.path.basename(argv[0])
    names = {}
    for entry in calm.types:
        match = re.fullmatch(re.escape(program) + r"!(\w+)\+0x[0-9a-f]+", entry["type"])
        if match:
            names[match.group(1)] = entry["type"]
    return names


def expected_line(announced, names):
    def full_name(match):
        harness.check(match.group(1) in names, f"no type for {match.group(1)} in the calm run's dump: {sorted(names)}")
        return names[match.group(1)]

    return re.sub(r"@(\w+)", full_name, announced)


def run_once(argv, env, names):
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)
    harness.equal(done.stderr, expected_line(done.stdout, names), "stderr")
    harness.equal(done.returncode, -signal.SIGABRT, "status")


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    times, argv = int(sys.argv[1]), sys.argv[2:]
    names = type_names(argv)
    env = harness.preload_env()
    for run in range(times):
        try:
            run_once(argv, env, names)
        except harness.Failed as failure:
            sys.exit(f"run {run + 1} of {times}: {failure}")
    print(f"{times} of {times} runs as announced")


main()
