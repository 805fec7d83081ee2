# SPDX-License-Identifier: BSD-2-Clause
"""Runs a program under libmalloc9.so and proves that the library was in use.

`run_preloaded` is the way in. The library is $MALLOC9_LIB, the command that reads the dump $MALLOC9_TOOL, the mode
$MALLOC9_MODE unless an argument says otherwise, and $MALLOC9_STATS the folder of live files if there is to be one. Proof of use is a dump of the process that was started, with its pid
and a count above 0 in it: a program that never loaded the library, or has a malloc of its own, fails its test.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

MODES = ("rseq", "fallback", "notunable")
SKIP = 77
DEFAULT_TIMEOUT = 120
PATIENCE = 60  # seconds; what takes a moment is done by then on a slow machine that has other work too


class Failed(AssertionError):
    """A test's expectation did not hold."""


@dataclass
class Result:
    rc: int  # negative: ended by that signal
    stdout: str
    stderr: str
    pid: int
    stats: dict = field(default_factory=dict)  # `malloc9 stat --json` of the process that was started
    children: list = field(default_factory=list)  # the same of every descendant that left a dump

    @property
    def types(self):
        return self.stats["types"]

    def total(self, key):
        """The sum over all types of "numallocs", "memuse", ..."""
        return sum(entry[key] for entry in self.types)


def check(condition, *what):
    """Fails the test, naming `what`, unless `condition` holds."""
    if not condition:
        raise Failed(" ".join(str(part) for part in what) or "check failed")


def equal(got, want, what="value"):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


def skip(why):
    """Ends the test as skipped; test/allowed-skips must list it."""
    print(f"SKIP: {why}")
    sys.stdout.flush()
    sys.exit(SKIP)


def find_program(*names):
    """The path of the first of `names` that this machine has; packages put servers where a user's PATH has none."""
    path = os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Failed(f"no {' or '.join(names)} on this machine: does scripts/packages list it?")


def library():
    return os.environ["MALLOC9_LIB"]


def tool():
    return os.environ["MALLOC9_TOOL"]


def default_mode():
    mode = os.environ.get("MALLOC9_MODE", "rseq")
    check(mode in MODES, f"MALLOC9_MODE={mode!r} is not one of {MODES}")
    return mode


def conf_string(conf):
    def text(value):
        return str(value).lower() if isinstance(value, bool) else str(value)

    return ",".join(f"{key}:{text(value)}" for key, value in conf.items())


def preload_env(mode=None, conf=None, env=None):
    """The environment of a program under the library. A value None in `env` removes that variable."""
    mode = mode or default_mode()
    check(mode in MODES, f"mode {mode!r} is not one of {MODES}")
    conf = dict(conf or {})
    full = dict(os.environ)
    for name in ("MALLOC9_CONF", "GLIBC_TUNABLES", "LD_PRELOAD"):
        full.pop(name, None)
    full["LC_ALL"] = "C.UTF-8"
    if mode == "fallback":
        conf.setdefault("rseq", False)
    if os.environ.get("MALLOC9_STATS"):  # the same test while all processes count in live files
        conf.setdefault("stats", os.environ["MALLOC9_STATS"])
    if mode == "notunable":
        full["GLIBC_TUNABLES"] = "glibc.pthread.rseq=0"
    if conf:
        full["MALLOC9_CONF"] = conf_string(conf)
    full["LD_PRELOAD"] = library()
    for name, value in (env or {}).items():
        if value is None:
            full.pop(name, None)
        else:
            full[name] = str(value)
    return full


def expected_modes(mode):
    """What a report may name as its mode when the test asked for `mode`."""
    return ("rseq",) if mode == "rseq" else ("fallback",)


def read_stats(path):
    """The dump at `path`, as `malloc9 stat --json` tells it."""
    done = subprocess.run([tool(), "stat", "--json", path], capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"})
    check(done.returncode == 0, f"malloc9 stat --json: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def check_in_use(stats, mode=None):
    """The library counted something in this process, in the mode that was asked for."""
    check(stats["types"], f"{stats['program']} (pid {stats['pid']}): no types: the library was not in use")
    allocs = sum(entry["numallocs"] for entry in stats["types"])
    check(allocs > 0, f"{stats['program']} (pid {stats['pid']}): nothing was counted: the library was not in use")
    for entry in stats["types"]:
        check(entry["numallocs"] >= entry["numfrees"], f"type {entry['type']}: more frees than allocs: {entry}")
    if mode is not None:
        check(stats["mode"] in expected_modes(mode), f"mode {stats['mode']!r} in a run that asked for {mode!r}")


def read_dumps(folder, pid, mode, require=True):
    """The dumps in `folder`: that of `pid`, and the list of the others. A descendant that execs a program without
    the library, or ends by a signal, leaves none, so only `pid`'s is insisted on."""
    own, others = None, []
    for name in sorted(os.listdir(folder)):
        stats = read_stats(os.path.join(folder, name))
        if stats["pid"] == pid:
            own = stats
        else:
            others.append(stats)
    if require:
        check(own is not None, f"process {pid} left no dump: the library was not in use, or it ended without one")
        check_in_use(own, mode)
    return own or {}, others


def end_group(process):
    """Ends whatever the test's program left behind in its process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def start(argv, folder, mode, conf, env, **popen):
    """Starts `argv` under the library, in a process group of its own, with its dumps in `folder`."""
    conf = {"dump": os.path.join(folder, "%p.%n"), **(conf or {})}
    return subprocess.Popen([str(part) for part in argv], env=preload_env(mode, conf, env), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, start_new_session=True, **popen)


def finish(process, argv, data, timeout):
    """Waits for `process` and all of its group; what it wrote as (stdout, stderr)."""
    try:
        out, err = process.communicate(data, timeout=timeout)
    except subprocess.TimeoutExpired:
        end_group(process)
        out, err = process.communicate()
        raise Failed(f"{argv}: not done after {timeout} s\n{tail(out)}\n{tail(err)}") from None
    finally:
        end_group(process)
    return out.decode(errors="replace"), err.decode(errors="replace")


def check_status(result, argv, want):
    """want: True asks for exit status 0, a number for that status, None for none in particular."""
    if want is None:
        return
    want = 0 if want is True else want
    check(result.rc == want, f"{argv}: status {result.rc}, want {want}\n{tail(result.stdout)}\n{tail(result.stderr)}")


def run_preloaded(argv, mode=None, conf=None, env=None, input=None, timeout=DEFAULT_TIMEOUT, check_rc=True,
                  require=True, **popen):
    """Runs `argv` under the library to its end and returns a Result.

    require: False for programs that leave no dump (those that are killed, or misuse tests); then the caller proves
    in another way that the library was in use. `popen`: cwd, pass_fds, preexec_fn, ... of subprocess.Popen.
    """
    mode = mode or default_mode()
    with tempfile.TemporaryDirectory(prefix="malloc9-") as folder:
        popen.setdefault("stdin", subprocess.PIPE if input is not None else subprocess.DEVNULL)
        process = start(argv, folder, mode, conf, env, **popen)
        out, err = finish(process, argv, input.encode() if isinstance(input, str) else input, timeout)
        result = Result(process.returncode, out, err, process.pid)
        check_status(result, argv, check_rc)
        result.stats, result.children = read_dumps(folder, process.pid, mode, require)
        return result


@contextlib.contextmanager
def background(argv, ready, stop=signal.SIGTERM, mode=None, conf=None, env=None, timeout=DEFAULT_TIMEOUT,
               check_rc=True, require=True, **popen):
    """Runs a server under the library while the body of `with` runs, then stops it with signal `stop`.

    `ready()` is called until it returns true. The Result's rc, output and stats are filled in after the body.
    A server's output must fit a pipe (64 KiB): have it write logs to a file.
    """
    mode = mode or default_mode()
    with tempfile.TemporaryDirectory(prefix="malloc9-") as folder:
        popen.setdefault("stdin", subprocess.DEVNULL)
        process = start(argv, folder, mode, conf, env, **popen)
        result = Result(0, "", "", process.pid)
        try:
            wait_until(lambda: process.poll() is not None or ready(), timeout, f"{argv} to be ready")
            if process.poll() is not None:
                raise Failed(f"{argv}: ended at once: {finish(process, argv, None, timeout)}")
            yield result
            process.send_signal(stop)
            result.stdout, result.stderr = finish(process, argv, None, timeout)
        finally:
            end_group(process)
            process.wait()
        result.rc = process.returncode
        check_status(result, argv, check_rc)
        result.stats, result.children = read_dumps(folder, process.pid, mode, require)


def wait_until(condition, timeout, what):
    """Polls until `condition()` holds; fails the test after `timeout` seconds. `what` may be a function that then says it."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= end:
            raise Failed(f"waited {timeout} s for {what() if callable(what) else what}")
        time.sleep(0.05)


def wait_equal(read, want, what):
    """Polls until `read()` is `want`; fails the test, telling what it is instead, after PATIENCE."""
    wait_until(lambda: read() == want, PATIENCE, lambda: f"{what}: got {read()!r}, want {want!r}")


def free_port():
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    """Whether somebody accepts connections on that port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def tail(data, limit=4000):
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    return text[-limit:]


def main(*tests):
    """Runs test functions in order. Without arguments: all of `tests`; else those named on the command line."""
    wanted = sys.argv[1:]
    unknown = set(wanted) - {test.__name__ for test in tests}
    if unknown:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}")
    failed = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        try:
            test()
            print(f"ok {test.__name__}", flush=True)
        except Failed as failure:
            failed += 1
            print(f"FAILED {test.__name__}: {failure}", flush=True)
    sys.exit(1 if failed else 0)
