# SPDX-License-Identifier: BSD-2-Clause
"""Runs cases under peers: measured runs, and the untimed run that proves whose malloc was called."""
import dataclasses
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile


class Failed(Exception):
    """A run that went wrong, or one that used another malloc than it should have."""


@dataclasses.dataclass
class Case:
    """One program and how it is run. `argv`, `env` and so on may hold {work}: a folder of this case's own."""
    name: str
    argv: list
    env: dict = dataclasses.field(default_factory=dict)
    stdin: str = ""
    # Called with the folder before each run, and once before all runs; not timed.
    before_run: object = None
    before_all: object = None
    # A server: the socket it opens, and the client's command.
    socket: str = ""
    client: str = ""
    # The output differs from run to run, and so cannot be compared.
    varies: bool = False
    # The program links an allocator of its own: without a preload, that would be measured as glibc's.
    preload_glibc: bool = False
    # It is about start-up, and may end before it allocates: that malloc is bound is all that can be shown.
    may_allocate_nothing: bool = False


def is_malloc_binding(line):
    return re.search(r"binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `malloc'", line)


class Runner:
    def __init__(self, build, work):
        self.measure = os.path.join(build, "test/bench/measure")
        self.tool = os.path.join(build, "tool/malloc9")
        self.work = work
        self.modes = {}
        self.outputs = {}
        self.prepared = set()

    def folder(self, case):
        return os.path.join(self.work, case.name)

    def prepare(self, case):
        if case.name in self.prepared:
            return
        os.makedirs(self.folder(case), exist_ok=True)
        if case.before_all:
            case.before_all(self.folder(case))
        self.prepared.add(case.name)

    def fill(self, case, text):
        return text.replace("{work}", self.folder(case))

    def environment(self, case):
        keep = ("PATH", "HOME", "USER", "TMPDIR")
        env = {k: os.environ[k] for k in keep if k in os.environ}
        env.update({"LC_ALL": "C.UTF-8"})
        env.update({k: self.fill(case, v) for k, v in case.env.items()})
        return env

    def run(self, case, peer, repeat=1, options=(), env=None, preload=""):
        """Runs the case once (or `repeat` times) and returns measure's results."""
        self.prepare(case)
        folder = self.folder(case)
        if case.before_run:
            case.before_run(folder)
        result, output = os.path.join(folder, "measured"), os.path.join(folder, "output")
        command = [self.measure, "--out", result, "--repeat", str(repeat), *options]
        libraries = [peer.library] if peer.preload or case.preload_glibc else []
        libraries += [preload] if preload else []
        settings = dict(env or {}, **({"LD_PRELOAD": ":".join(libraries)} if libraries else {}))
        for name, value in settings.items():
            command += ["--env", f"{name}={value}"]
        if case.socket:
            command += ["--socket", self.fill(case, case.socket), "--client", self.fill(case, case.client)]
        command += ["--"] + [self.fill(case, a) for a in case.argv]
        stdin = self.fill(case, case.stdin) or os.devnull
        with open(stdin) as source, open(output, "wb") as out, tempfile.TemporaryFile() as errors:
            done = subprocess.run(command, stdin=source, stdout=out, stderr=errors, cwd=folder,
                                  env=self.environment(case), check=False)
            errors.seek(0)
            complaint = errors.read().decode(errors="replace")
        # ld.so says so where a library cannot be preloaded, and goes on without it.
        if done.returncode or "cannot be preloaded" in complaint:
            raise Failed(f"{case.name} under {peer.name}: {complaint.strip()[-2000:] or done.returncode}")
        with open(result) as f:
            results = [json.loads(line) for line in f]
        for r in results:
            if r["code"]:
                raise Failed(f"{case.name} under {peer.name}: ended with {r['code']}: {complaint.strip()[-2000:]}")
        return results

    def output(self, case):
        with open(os.path.join(self.folder(case), "output"), "rb") as f:
            return f.read()

    def check_output(self, case, peer):
        """The last run's output must be what it was under the first peer. The workloads' own timings are left out."""
        if case.varies:
            return
        text = re.sub(rb'"(ns|peak|left)_\w+": [\d.]+', b"", self.output(case))
        first, expected = self.outputs.setdefault(case.name, (peer.name, text))
        if text != expected:
            raise Failed(f"{case.name}: the output under {peer.name} differs from the one under {first}")

    def prove(self, case, peer):
        """An untimed run that shows whose malloc every process of the case was bound to."""
        self.prepare(case)
        logs = tempfile.mkdtemp(dir=self.work)
        env = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": os.path.join(logs, "ld"), "LD_BIND_NOW": "1"}
        if peer.ours:
            env["MALLOC9_CONF"] = f"dump:{logs}/dump.%p"
        self.run(case, peer, env=env)
        self.check_output(case, peer)
        proofs = 0
        for log in glob.glob(os.path.join(logs, "ld.*")):
            with open(log, errors="replace") as f:
                bound = {m.group(1, 2) for m in map(is_malloc_binding, f) if m}
            bound = {(file, to) for file, to in bound if "ld-linux" not in os.path.basename(file)}
            # A program that takes malloc's address has a stub for it, which others are bound to and which leads on.
            stubs = {file for file, to in bound if os.path.realpath(to) == peer.library}
            strangers = [b for b in bound if os.path.realpath(b[1]) != peer.library and b[1] not in stubs]
            if strangers:
                raise Failed(f"{case.name} under {peer.name}: {strangers[0][0]} called malloc of {strangers[0][1]}")
            proofs += bool(bound)
        if not proofs:
            raise Failed(f"{case.name} under {peer.name}: no process was seen to call malloc of {peer.library}")
        if peer.ours:
            self.prove_counts(case, peer, glob.glob(os.path.join(logs, "dump.*")))
        shutil.rmtree(logs)

    def prove_counts(self, case, peer, dumps):
        """malloc9 itself says what it counted, and in which mode it ran."""
        if peer.name.endswith("nocount") or not os.path.exists(self.tool):
            return
        if not dumps:
            raise Failed(f"{case.name} under {peer.name}: malloc9 left no dump")
        counted = 0
        for dump in dumps:
            shown = subprocess.run([self.tool, "stat", "--json", dump], capture_output=True, text=True)
            if shown.returncode:
                raise Failed(f"{case.name} under {peer.name}: malloc9 stat {dump}: {shown.stderr.strip()}")
            stats = json.loads(shown.stdout)
            self.modes.setdefault(peer.name, set()).add(stats["mode"])
            counted += sum(t["numallocs"] for t in stats["types"])
        if not counted and not case.may_allocate_nothing:
            raise Failed(f"{case.name} under {peer.name}: malloc9 counted nothing")
