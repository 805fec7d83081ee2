# SPDX-License-Identifier: BSD-2-Clause
"""python3 (four ways), perl, node with workers, java with threads: each output equals the one without the library."""
import os

from cases import WORKLOADS, case


def python(s):
    return s.program("python3", ["/usr/bin"])


@case("python3")
def python_objects(s):
    s.same([python(s), WORKLOADS / "objects.py", str(s.scale)], allocs=5000)


@case("python3-malloc")
def python_malloc(s):
    s.same([python(s), WORKLOADS / "objects.py", str(s.scale)], env={"PYTHONMALLOC": "malloc"}, allocs=200000)


@case("python3-threads")
def python_threads(s):
    for env in ({}, {"PYTHONMALLOC": "malloc"}):
        s.same([python(s), WORKLOADS / "threads.py", str(s.scale)], env=env, allocs=5000)


@case("python3-multiprocessing")
def python_processes(s):
    s.same([python(s), WORKLOADS / "processes.py", str(s.scale)], env={"PYTHONMALLOC": "malloc"}, allocs=50000,
           timeout=240)


@case("perl")
def perl(s):
    s.same([s.program("perl"), WORKLOADS / "hashes.pl", str(s.scale)], allocs=50000)


@case("node")
def node(s):
    s.same([s.program("node"), WORKLOADS / "workers.js", str(s.scale)], allocs=5000, timeout=240)


@case("java")
def java(s):
    s.run_plain([s.program("javac"), "-d", s.tmp, WORKLOADS / "Busy.java"])
    for collector in ("Serial", "G1"):
        s.same([s.program("java"), "-Xmx256m", f"-XX:+Use{collector}GC", "-cp", s.tmp, "Busy", str(s.scale)],
               allocs=5000, timeout=240)
    want = (s.tmp / "Busy.class").read_bytes()
    os.unlink(s.tmp / "Busy.class")
    s.run([s.program("javac"), "-d", s.tmp, WORKLOADS / "Busy.java"], allocs=5000)
    s.equal((s.tmp / "Busy.class").read_bytes(), want, "Busy.class")
