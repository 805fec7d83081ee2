# SPDX-License-Identifier: BSD-2-Clause
"""How much of a case's time is malloc's under glibc, by the sampling profiler `perf record`.

Counted: samples in libc's allocation functions. They lie in one stretch of libc, found from its dynamic symbols, so no
debugging symbols are needed. What the kernel does for them (page faults, madvise) is shown beside it: for the bench's own
workloads, which make no other system calls, it is malloc's too."""
import os
import re
import subprocess


def stretch(libc):
    """First and last address of libc's malloc.o: from the last symbol of another object before it to the next after it.

    __default_morecore is malloc.o's own; functions without a symbol lie on both sides of those with one."""
    shown = subprocess.run(["nm", "-D", "--defined-only", "-n", libc], capture_output=True, text=True, check=True)
    symbols = [(int(m[1], 16), m[2]) for m in re.finditer(r"^(\w+) [TWi] (\w+)", shown.stdout, re.M)]
    malloc = next(a for a, name in symbols if name == "malloc")
    info = next(a for a, name in symbols if name == "malloc_info")
    return (max(a for a, name in symbols if a < malloc and name != "__default_morecore"),
            min(a for a, _ in symbols if a > info))


def of(case, runner, libc):
    """Shares of the samples: of malloc, of the kernel. None where the profiler does not work."""
    runner.prepare(case)
    folder = runner.folder(case)
    if case.before_run:
        case.before_run(folder)
    data = os.path.join(folder, "perf.data")
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "1997", "-o", data, "--"]
    env = runner.environment(case)
    env.update({"LD_PRELOAD": libc} if case.preload_glibc else {})
    stdin = runner.fill(case, case.stdin) or os.devnull
    if case.socket:  # the launcher brings the client, whose samples are left out by name below
        command += [runner.measure, "--out", os.devnull, "--socket", runner.fill(case, case.socket),
                    "--client", runner.fill(case, case.client), "--"]
    with open(stdin) as source:
        subprocess.run(command + [runner.fill(case, a) for a in case.argv], stdin=source, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, cwd=folder, env=env, check=False)
    shown = subprocess.run(["perf", "script", "-i", data, "--show-mmap-events", "-F", "comm,pid,ip,dso"],
                           capture_output=True, text=True)
    return count(shown.stdout, libc, case.client.split()[0] if case.client else "")


def count(text, libc, client):
    """Reads perf script's lines: a mapping of libc in a process, or one sample."""
    low, high = stretch(libc)
    bases = {}
    total = in_malloc = in_kernel = 0
    for line in text.splitlines():
        mapped = re.search(r"PERF_RECORD_MMAP2 (\d+)/\d+: \[0x(\w+)\(0x\w+\) @ (?:0x)?(\w+) .*: r-xp (\S+)", line)
        if mapped and os.path.realpath(mapped[4]) == libc:
            bases[mapped[1]] = int(mapped[2], 16) - int(mapped[3], 16)
        sample = re.match(r"\s*(\S.*?)\s+(\d+)\s+([0-9a-f]+)\s+\((.*)\)\s*$", line)
        if mapped or not sample or (client and sample[1] in (client[:15], "sh", "measure")):
            continue
        total += 1
        in_kernel += sample[4].startswith("[kernel")
        if sample[2] in bases and os.path.realpath(sample[4]) == libc:
            in_malloc += low <= int(sample[3], 16) - bases[sample[2]] < high
    return (in_malloc / total, in_kernel / total) if total else None


def table(cases, runner, libc, say):
    lines = [f"{'under glibc, share of the samples':36}{'malloc':>10}{'kernel':>10}"]
    for case in cases:
        say(f"profiling {case.name}")
        shares = of(case, runner, libc)
        lines.append(f"{case.name:36}" + ("".join(f"{s * 100:9.1f}%" for s in shares) if shares else "   no samples"))
    return "\n".join(lines)
