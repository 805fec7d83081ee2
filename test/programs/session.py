# SPDX-License-Identifier: BSD-2-Clause
"""One test case's processes: started with or without libmalloc9.so, bounded in time, and all gone at the end.

Output goes to files, never to pipes: a daemon may keep a copy of its first stderr for the library's report, and
a pipe would stay open with it. The runner is a subreaper, so that what a program leaves behind is ours to end.
"""
import ctypes
import os
import pathlib
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from evidence import Evidence, Failure
from harness import conf_string

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PR_SET_CHILD_SUBREAPER = 36


class Skip(Exception):
    """The case cannot run here; the text says why."""


class Result:
    """What a finished process left: its status and its output, without the library's own lines."""

    def __init__(self, pid, rc, stdout, stderr):
        self.pid = pid
        self.rc = rc
        self.stdout = stdout
        self.stderr = stderr


class Server:
    """A process that runs until it is told to stop."""

    def __init__(self, session, proc, name, files, command):
        self.session = session
        self.proc = proc
        self.name = name
        self.files = files
        self.command = command

    @property
    def pid(self):
        return self.proc.pid

    def wait_for(self, ready, what, timeout=60):
        """Until ready() is true; fails at once when the server has ended."""
        end = time.monotonic() + timeout
        while not ready():
            if self.proc.poll() is not None:
                raise Failure(f"{self.name} ended with {self.proc.returncode} before {what}\n"
                              f"{self.session.tail(self.files)}\nagain: {self.command}")
            if time.monotonic() > end:
                raise Failure(f"{self.name}: no {what} in {timeout} s\n{self.session.stacks(self.pid)}")
            time.sleep(0.02)

    def finish(self, sig=signal.SIGTERM, rc=0, timeout=60, allocs=1):
        """Ask it to end (sig 0: it was asked already), and judge how it did."""
        if sig:
            self.proc.send_signal(sig)
        return self.session.conclude(self, rc, timeout, allocs)


class Session:
    """Everything that one case starts; a context manager, which leaves no process and no file behind."""

    def __init__(self, options):
        self.plain = options.plain
        self.mode = options.mode
        self.scale = 8 if options.long else 1
        self.lib = options.lib
        self.keep = options.keep
        self.count = 0

    def __enter__(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="m9-"))
        self.tmp = self.top / "work"
        self.out = self.top / "out"
        self.dumps = self.top / "dumps"
        for folder in (self.tmp, self.out, self.dumps, self.top / "home"):
            folder.mkdir()
        self.top.chmod(0o755)
        self.dumps.chmod(0o1777)
        self.evidence = Evidence(self.mode, self.dumps)
        if not self.plain:  # a copy, since an unprivileged account may have no way to the build directory
            self.lib = shutil.copy(self.lib, self.top / "libmalloc9.so")
        return self

    def __exit__(self, *unused):
        self.end_leftovers()
        if self.keep:
            print(f"kept: {self.top}")
        else:
            shutil.rmtree(self.top, ignore_errors=True)

    # Environment and files

    def program(self, name, folders=()):
        """The full path of a program of the system."""
        found = shutil.which(name, path=":".join([*map(str, folders), PATH]))
        if not found:
            raise Skip(f"{name} is not installed")
        return found

    def environment(self, extra, preload):
        env = {"PATH": PATH, "HOME": str(self.top / "home"), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
               "TMPDIR": str(self.tmp), "TERM": "xterm", "SHELL": "/bin/sh"}
        env.update(extra or {})
        if preload and not self.plain:
            conf = {"dump": self.dumps / "%p.%e.m9", "audit": "exit"}
            if self.mode == "fallback":
                conf["rseq"] = False
            if self.mode == "notunable":
                env["GLIBC_TUNABLES"] = "glibc.pthread.rseq=0"
            env["LD_PRELOAD"] = str(self.lib)
            env["MALLOC9_CONF"] = conf_string(conf)
        return env

    def unprivileged(self):
        """The account for programs that refuse root; None when we are not root."""
        return pwd.getpwnam("nobody") if os.getuid() == 0 else None

    def write(self, name, text):
        path = self.tmp / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    # Processes

    def start(self, argv, *, env=None, cwd=None, user=None, preload=True, stdin=None):
        argv = [str(a) for a in argv]
        self.count += 1
        name = f"{self.count:03}-{os.path.basename(argv[0])}"
        files = [self.out / f"{name}.stdout", self.out / f"{name}.stderr"]
        full = self.environment(env, preload)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        with open(files[0], "ab") as out, open(files[1], "ab") as err:
            proc = subprocess.Popen(argv, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=err, env=full,
                                    cwd=cwd or self.tmp, start_new_session=True, **who)
        shown = {"LD_PRELOAD", "MALLOC9_CONF", "GLIBC_TUNABLES", *(env or {})}
        settings = [f"{key}={value}" for key, value in full.items() if key in shown]
        server = Server(self, proc, name, files, shlex.join([*settings, *argv]))
        server.preloaded = preload and not self.plain
        return server

    def conclude(self, server, rc, timeout, allocs):
        """Wait for the end; the status must be rc (None: any), the books right, and the dump there."""
        try:
            server.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            stacks = self.stacks(server.pid)
            server.proc.kill()
            raise Failure(f"{server.name} did not end in {timeout} s\n{stacks}\n{self.tail(server.files)}\n"
                          f"again: {server.command}") from None
        status = server.proc.returncode
        if rc is not None and status != rc:
            raise Failure(f"{server.name} ended with {status}, not {rc}\n{self.tail(server.files)}\n"
                          f"again: {server.command}")
        stdout, stderr = (f.read_bytes() for f in server.files)
        if server.preloaded:
            try:
                stderr = self.evidence.judge_process(server.pid, stderr, allocs)
            except Failure as failure:
                raise Failure(f"{server.name}: {failure}\nagain: {server.command}") from None
        return Result(server.pid, status, stdout, stderr)

    def run(self, argv, *, rc=0, timeout=120, allocs=1, input=None, **how):
        """Run to the end. allocs: so many allocations, at least, must be in its own dump."""
        if input is not None:
            path = self.write(f".stdin.{self.count}", input)
            with open(path, "rb") as stdin:
                return self.conclude(self.start(argv, stdin=stdin, **how), rc, timeout, allocs)
        return self.conclude(self.start(argv, **how), rc, timeout, allocs)

    def run_plain(self, argv, **how):
        return self.run(argv, preload=False, **how)

    def same(self, argv, **how):
        """Run without and with the library: status and output must be equal. Returns the second result."""
        want = self.run_plain(argv, **how)
        got = self.run(argv, **how)
        self.equal(got.stdout, want.stdout, f"stdout of {shlex.join(map(str, argv))}")
        self.equal(got.stderr, want.stderr, f"stderr of {shlex.join(map(str, argv))}")
        if not want.stdout and not want.stderr:
            raise Failure(f"{shlex.join(map(str, argv))}: no output to compare")
        return got

    # Judgement

    def equal(self, got, want, what):
        if got == want:
            return
        if isinstance(got, bytes) and isinstance(want, bytes):
            lines = [got.splitlines(), want.splitlines()]
            at = next((i for i, (g, w) in enumerate(zip(*lines)) if g != w), min(map(len, lines)))
            cut = [text[at:at + 3] for text in lines]
            raise Failure(f"{what} differs at line {at + 1}:\n"
                          f"  got  {repr(cut[0])[:2000]}\n  want {repr(cut[1])[:2000]}")
        raise Failure(f"{what}: got {repr(got)[:2000]}, want {repr(want)[:2000]}")

    def check(self, truth, what):
        if not truth:
            raise Failure(what)

    def used_by(self, program, *, processes=1, allocs=1):
        """At least so many processes of that program left a dump with so many allocations."""
        if not self.plain:
            self.evidence.used_by(program, processes, allocs)

    def judge_all(self):
        """After the last process: late lines on any stderr, and every dump."""
        if not self.plain:
            self.evidence.judge_all(sorted(self.out.glob("*.stderr")))

    # Help for a failure, and the end

    def tail(self, files, most=3000):
        return "\n".join(f"--- {f.suffix[1:]}\n{f.read_bytes()[-most:].decode(errors='replace')}" for f in files)

    def stacks(self, pid):
        gdb = shutil.which("gdb", path=PATH)
        if not gdb:
            return "(no gdb for its stacks)"
        argv = [gdb, "-nx", "-batch", "-iex", "set debuginfod enabled off", "-p", str(pid),
                "-ex", "thread apply all bt 12"]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            return "(gdb did not end either)"
        return done.stdout.decode(errors="replace")[-4000:]

    def children(self):
        text = "".join(f.read_text() for f in pathlib.Path("/proc/self/task").glob("*/children"))
        return [int(pid) for pid in text.split()]

    def end_leftovers(self):
        """Every descendant of ours that still runs has become, or becomes now, a child of ours."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            for pid in self.children():
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass
            if not self.children():
                return

    def wait_gone(self, pid, what, timeout=30):
        """Until a process that is not our direct child has ended (and, as its subreaper, collect it)."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
            if not os.path.exists(f"/proc/{pid}"):
                return
            time.sleep(0.02)
        raise Failure(f"{what} (pid {pid}) did not end in {timeout} s\n{self.stacks(pid)}")
