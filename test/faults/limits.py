#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""limits.py CASE [ARGUMENTS]: memory under limits, compared with what glibc's malloc does in the same run."""
import mmap
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import harness
from harness import check

FOLDER = os.environ["MALLOC9_FAULTS"]
PROGRAM = os.path.join(FOLDER, "memory")
SHARE = 0.85  # of glibc's live bytes
NOBODY = 65534


def readme_says(*words):
    path = os.path.join(os.environ["MALLOC9_SOURCE"], "README.md")
    if not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as file:
        return any(all(word in part for word in words) for part in file.read().split("\n\n"))


def value(text, key):
    match = re.findall(rf"^{key} (-?\d+)$", text, re.M)
    check(match, f"no {key} in {text!r}")
    return max(int(number) for number in match)


def with_glibc(argv, **popen):
    env = harness.preload_env()
    for name in ("LD_PRELOAD", "MALLOC9_CONF", "GLIBC_TUNABLES"):
        env.pop(name, None)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False, **popen)
    check(done.returncode == 0, f"glibc: status {done.returncode}: {done.stderr}")
    return done.stdout


def compare_fill(kind, kib, size):
    def limit():
        resource.setrlimit(kind, (kib << 10, kib << 10))

    argv = [PROGRAM, "fill", *([str(size)] if size else [])]
    glibc = value(with_glibc(argv, preexec_fn=limit), "live")
    # Compact mode takes a lock, two system calls, for each of up to 16 million items: 117 s where one takes 1.1 us.
    result = harness.run_preloaded(argv, conf={"audit": "exit"}, require=False, timeout=400, preexec_fn=limit)
    harness.check_in_use(result.stats)  # in whatever mode fits the limit
    check("malloc9: audit: ok: " in result.stderr, result.stderr)
    ours = value(result.stdout, "live")
    told = f"{kib} KiB, {size or 'mix'}: {ours} of glibc's {glibc} live bytes: {ours / glibc:.3f}"
    print(f"{told} ({result.stats['mode']})", flush=True)
    return [] if ours >= SHARE * glibc else [told]


def address_space(kib, *sizes):
    low = [text for size in sizes for text in compare_fill(resource.RLIMIT_AS, int(kib), int(size))]
    check(not low, low)


def data_segment(kib, *sizes):
    low = [text for size in sizes for text in compare_fill(resource.RLIMIT_DATA, int(kib), int(size))]
    check(not low, low)


def lowered():
    """RLIMIT_AS lowered while running: as many bytes as with glibc, or README says that it is not so."""
    argv = [PROGRAM, "lowered", str(300 << 20)]
    glibc = value(with_glibc(argv), "live")
    ours = value(harness.run_preloaded(argv).stdout, "live")
    check(ours >= SHARE * glibc or readme_says("RLIMIT_AS", "lowered"), f"{ours} bytes of glibc's {glibc}")
    harness.run_preloaded([PROGRAM, "lowered"])


def kernel_reads_zero_page():
    """Whether memory that is only read costs nothing. Paravirtual kernels without a zero page give it pages of its own."""
    def resident():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1])

    page, pages = mmap.PAGESIZE, 1024
    with mmap.mmap(-1, pages * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ) as memory:
        before = resident()
        for at in range(0, pages * page, page):
            memory[at]  # pylint: disable=pointless-statement
        return resident() - before < pages // 2


def locked():
    if os.geteuid() != 0:
        harness.skip("needs root")
    if not kernel_reads_zero_page():
        harness.skip("this kernel has no zero page: locking the per-CPU reservation, which is only read, takes it all")
    glibc = value(with_glibc([PROGRAM, "locked"]), "rss")
    result = harness.run_preloaded([PROGRAM, "locked"], conf={"audit": "exit"})
    check(value(result.stdout, "mlockall") == 0, result.stdout)
    ours = value(result.stdout, "rss")
    print(f"RSS {ours} KiB, glibc {glibc} KiB")
    check(ours <= glibc + (16 << 10), f"RSS {ours} KiB, glibc {glibc} KiB")


def locked_by_user():
    """A normal user with a finite RLIMIT_MEMLOCK: as with glibc, or README says that it is not so."""
    if os.geteuid() != 0:
        harness.skip("needs root, to become somebody else")
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    limit = 8 << 20 if hard == resource.RLIM_INFINITY else min(hard, 8 << 20)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        for path in (PROGRAM, harness.library()):
            shutil.copy(path, folder)
        os.chmod(folder, 0o777)
        argv = [os.path.join(folder, "memory"), "locked", "2"]
        check(value(with_glibc(argv, user=NOBODY), "mlockall") == 0, "glibc: refused")
        library = os.path.join(folder, os.path.basename(harness.library()))
        result = harness.run_preloaded(argv, conf={"dump": os.path.join(folder, "dump")}, env={"LD_PRELOAD": library},
                                       require=False, user=NOBODY)
        harness.check_in_use(harness.read_stats(os.path.join(folder, "dump")))
        error = value(result.stdout, "mlockall")
        check(error == 0 or readme_says("RLIMIT_MEMLOCK"), f"mlockall: error {error}, and README does not say so")


def few_mappings():
    result = harness.run_preloaded([PROGRAM, "few_mappings"], conf={"audit": "exit", "decay_ms": 50})
    print(result.stdout, end="")
    check(value(result.stdout, "mappings") < 1000, result.stdout)


def decays():
    result = harness.run_preloaded([PROGRAM, "decays"], conf={"audit": "exit", "decay_ms": 100})
    print(result.stdout, end="")
    check(value(result.stdout, "rss") < 48 << 10, result.stdout)


def trims():
    result = harness.run_preloaded([PROGRAM, "trims"], conf={"audit": "exit", "decay_ms": 1000000})
    print(result.stdout, end="")
    check(value(result.stdout, "rss") < 32 << 10, result.stdout)


def reuse():
    result = harness.run_preloaded([PROGRAM, "reuse"], conf={"audit": "exit"})
    print(result.stdout, end="")
    check(value(result.stdout, "rss") < 200 << 10, result.stdout)


def core_size():
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read().strip()
    if "/" in pattern or "|" in pattern:
        harness.skip("core files go elsewhere here")

    def limit():
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    sizes = []
    for env in (harness.preload_env(), {}):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([PROGRAM, "dies"], env=env, cwd=folder, preexec_fn=limit, capture_output=True,
                                  timeout=120, check=False)
            check(done.returncode == -signal.SIGABRT, f"status {done.returncode}: {done.stderr}")
            cores = os.listdir(folder)
            if not cores:
                harness.skip("no core files here")
            sizes.append(os.stat(os.path.join(folder, cores[0])).st_size)
    print(f"core: {sizes[0]} bytes, with glibc {sizes[1]}")
    check(sizes[0] <= sizes[1] + (64 << 20), f"core of {sizes[0]} bytes, glibc's {sizes[1]}")
    harness.run_preloaded([PROGRAM, "reuse"])


def peak_of_true(preload, huge):
    with tempfile.NamedTemporaryFile() as out:
        env = {"HUGE_PAGES": str(huge), "HUGE_PAGES_OUT": out.name,
               "LD_PRELOAD": " ".join([*preload, os.path.join(FOLDER, "libhuge_pages.so")])}
        if preload:
            harness.run_preloaded(["/bin/true"], env=env)
        else:
            subprocess.run(["/bin/true"], env=env, check=True, timeout=60)
        return int(out.read())


def huge_pages():
    with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
        if "[never]" in file.read():
            harness.skip("no transparent huge pages here")
    plain = min(peak_of_true([], 0) for _ in range(3))
    huge = max(peak_of_true([harness.library()], 1) for _ in range(3))
    print(f"true: {huge} KiB, all of ours huge; {plain} KiB with glibc")
    check(huge < plain + (4 << 10), f"{huge} KiB, with glibc {plain} KiB")


def no_overcommit():
    """vm.overcommit_memory=2, for the length of two short runs."""
    path = "/proc/sys/vm/overcommit_memory"
    if not os.access(path, os.W_OK):
        harness.skip("needs root")
    with open(path, encoding="ascii") as file:
        before = file.read().strip()
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write("2")
        harness.run_preloaded([PROGRAM, "reuse"], conf={"audit": "exit"})
        harness.run_preloaded(["/bin/bash", "-c", "ls / | cat >/dev/null"])
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(before)


def main():
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except harness.Failed as failure:
        sys.exit(f"FAILED: {failure}")


main()
