# SPDX-License-Identifier: BSD-2-Clause
"""The cases of the full run: the bench's own workloads and the real programs, each with what it needs to run."""
import json
import os
import shutil
import subprocess

from runs import Case

HERE = os.path.dirname(os.path.abspath(__file__))
INPUTS = os.path.join(HERE, "programs")


def lists():
    """The two fixed lists (and what is only shown): list -> name -> why it is there."""
    with open(os.path.join(HERE, "lists.json")) as f:
        return json.load(f)


def printed_by(script, file):
    """A before_all that writes what a generator script prints."""
    def write(folder):
        with open(os.path.join(folder, file), "w") as out:
            subprocess.run(["/usr/bin/python3", os.path.join(INPUTS, script)], stdout=out, check=True)
    return write


def preprocess(folder):
    subprocess.run(["g++", "-std=c++20", "-E", os.path.join(INPUTS, "unit.cc"), "-o", f"{folder}/unit.ii"], check=True)


def make_repository(folder):
    printed_by("history.py", "history")(folder)
    subprocess.run(["git", "init", "-q", "-b", "main", f"{folder}/origin"], check=True)
    # Loose objects, as work leaves them: a pack would be taken over whole by gc.
    with open(f"{folder}/history") as history:
        subprocess.run(["git", "-c", "fastimport.unpackLimit=1000000", "-C", f"{folder}/origin", "fast-import", "--quiet"],
                       stdin=history, check=True)


def copy_repository(folder):
    shutil.rmtree(f"{folder}/copy", ignore_errors=True)
    shutil.copytree(f"{folder}/origin", f"{folder}/copy")


def compiler():
    found = shutil.which("g++") and subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True)
    return found.stdout.strip() if found else "cc1plus"


def real_programs():
    requests = ("redis-benchmark -q -s {work}/socket -P 16 -r 50000 "
                "-n 50000 -d 100 -t set,get,incr,lpush,rpop,sadd,hset,zadd")
    server = ["redis-server", "--port", "0", "--unixsocket", "{work}/socket", "--save", "", "--appendonly", "no",
              "--loglevel", "warning", "--dir", "{work}"]
    git = ["git", "-c", "pack.threads=1", "-c", "gc.autoDetach=false", "-c", "safe.directory=*", "-C", "{work}/copy"]
    return [
        Case("python3", ["/usr/bin/python3", "-S", f"{INPUTS}/objects.py"],
             env={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "1"}),
        Case("cc1plus", [compiler(), "-quiet", "-fpreprocessed", "-std=c++20", "-O1", "-fno-inline", "{work}/unit.ii", "-o",
                         "{work}/unit.s"], before_all=preprocess),
        Case("sqlite3", ["sqlite3", ":memory:"], stdin="{work}/dump.sql", before_all=printed_by("dump.py", "dump.sql")),
        Case("redis", server, socket="{work}/socket", client=requests, varies=True, preload_glibc=True),
        Case("perl", ["perl", f"{INPUTS}/strings.pl"], env={"PERL_HASH_SEED": "0"}),
        Case("git", git + ["gc", "--quiet"], before_all=make_repository, before_run=copy_repository),
        Case("z3", ["z3", "{work}/formula.smt2"], before_all=printed_by("formula.py", "formula.smt2")),
        Case("ghostscript", ["gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-r100", "-sDEVICE=ppmraw", "-sOutputFile=/dev/null",
                             f"{INPUTS}/page.ps"]),
        Case("node", ["node", f"{INPUTS}/buffers.js"]),
    ]


def own_workloads(workloads, scale):
    names = [n for n in lists()["allocator workloads"] if not n.startswith("_")]
    return [Case(n, [workloads, n, f"scale={scale}"]) for n in names]


def available(cases):
    """Splits cases into those whose program is here and a line for each of the others."""
    here, missing = [], []
    for case in cases:
        tools = [case.argv[0]] + ([case.client.split()[0]] if case.client else [])
        lacking = [t for t in tools if not shutil.which(t)]
        if lacking:
            missing.append(f"{case.name}: no {lacking[0]}")
        else:
            here.append(case)
    return here, missing
