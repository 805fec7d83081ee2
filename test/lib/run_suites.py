# SPDX-License-Identifier: BSD-2-Clause
"""Builds every configuration, runs its suites and scripts/lint, and sums up: what scripts/test does after set-up.

A configuration in which no test ran, a build that fails and a skip that test/allowed-skips does not list are failures.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINT_BUILD = "build-clang"
LONG_REPORT = ROOT / "doc" / "long-run.md"


@dataclass(frozen=True)
class Step:
    """One build folder and the suites to run in it; no suites: all but `long`."""
    name: str
    folder: str
    compilers: tuple
    options: tuple = ()
    suites: tuple = ()
    reduced: bool = True  # tests that have a size take a small one
    targets: tuple = ("all",)  # what to build first; meson builds what else the suites' tests name
    after: tuple = ()  # what gcc's step has to have built


STEPS = (
    Step("gcc", "build", ("gcc", "g++"), ("-Dtool_override=debug=false",), reduced=False),
    # Death and stress run as gcc builds them, twice; all of it is compiled here.
    Step("clang", LINT_BUILD, ("clang-14", "clang++-14"), ("-Dtool_override=optimization=0,debug=false",), ("unit", "check")),
    # Undefined behaviour traps, without a run-time library, so this holds inside libmalloc9.so too.
    # gcc has compiled everything by then; its command reads the statistics.
    Step("checks", "build-checks", ("gcc", "g++"),
         ("--buildtype=debug", "-Dchecks=true", "-Dcpp_args=-fsanitize=undefined -fsanitize-undefined-trap-on-error",
          f"-Dtest_tool={ROOT}/build/tool/malloc9"),
         ("unit", "stress"), targets=("preload/libmalloc9.so",), after=("tool/malloc9",)),
    # Only what does not run under the library: it and ASan both want to be malloc.
    Step("sanitize", "build-sanitize", ("clang-14", "clang++-14"),
         ("-Db_sanitize=address,undefined", "-Db_lundef=false"), ("unit",), targets=()),
)
# More of one of these steps, in the same folder.
CHECKS_LONG = replace(STEPS[2], name="checks, long", suites=("death", "check"))
LONG = replace(STEPS[0], name="long", suites=("long",))


@dataclass(frozen=True)
class Outcome:
    """What one test of one step came to; result: passed, failed or skipped."""
    step: str
    name: str
    result: str
    seconds: float
    detail: str = ""


def say(*words):
    print(*words, flush=True)


def run(command, **more):
    """The status of `command`, whose output goes straight to ours."""
    return subprocess.run(command, cwd=ROOT, check=False, stdin=subprocess.DEVNULL, **more).returncode


def allowed_skips():
    lines = (ROOT / "test" / "allowed-skips").read_text().splitlines()
    return {line.partition(":")[0].strip() for line in lines if line.strip() and not line.startswith("#")}


def build(step):
    """Configures the step's folder the first time, then builds. False if either fails."""
    if step.after and not build(replace(STEPS[0], targets=step.after)):
        return False
    options = [*step.options, "-Dtests=enabled"]
    if (ROOT / step.folder / "build.ninja").exists():
        # scripts/quickstart may have made it, where the tests could not be built.
        if run(["meson", "setup", "--reconfigure", step.folder, *options], stdout=subprocess.DEVNULL) != 0:
            return False
    else:
        environment = {**os.environ, "CC": step.compilers[0], "CXX": step.compilers[1]}
        if run(["meson", "setup", step.folder, *options], env=environment, stdout=subprocess.DEVNULL) != 0:
            say(f"{step.name}: meson setup failed; its log is {step.folder}/meson-logs/meson-log.txt")
            return False
    return not step.targets or run(["ninja", "-C", step.folder, "--quiet", *step.targets]) == 0


def judge(step, entry, allowed):
    """The Outcome of one line of meson's testlog.json."""
    name = entry["name"].removeprefix("malloc9:")
    result, detail = "failed", entry["result"]
    if entry["result"] in ("OK", "EXPECTEDFAIL"):
        result, detail = "passed", ""
    elif entry["result"] == "SKIP":
        result, detail = ("skipped", "") if name in allowed else ("failed", "skipped, which test/allowed-skips forbids")
    return Outcome(step.name, name, result, entry["duration"], detail)


def run_suites(step, allowed):
    """Runs the step's suites; an Outcome for each test."""
    log = ROOT / step.folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    # One more than there are processors: many tests wait, for a browser, a server or a timer.
    command = ["meson", "test", "-C", step.folder, "--print-errorlogs", "--num-processes", str((os.cpu_count() or 1) + 1)]
    for suite in step.suites:
        command += ["--suite", suite]
    if "long" not in step.suites:
        command += ["--no-suite", "long"]
    environment = dict(os.environ)
    if step.reduced:
        environment["MALLOC9_QUICK"] = "1"
    status = run(command, env=environment)
    lines = log.read_text().splitlines() if log.exists() else []
    outcomes = [judge(step, json.loads(line), allowed) for line in lines if line.strip()]
    if not outcomes:
        outcomes.append(Outcome(step.name, "suites", "failed", 0, "no test was run"))
    elif status != 0 and all(outcome.result != "failed" for outcome in outcomes):
        outcomes.append(Outcome(step.name, "suites", "failed", 0, f"meson test: status {status}"))
    return outcomes


def run_step(step, allowed):
    say(f"==> {step.name}: {step.folder}, {step.compilers[1]} {shlex.join(step.options)}")
    begin = time.monotonic()
    if not build(step):
        return [Outcome(step.name, "build", "failed", time.monotonic() - begin, "does not build")]
    say(f"==> {step.name}: built in {time.monotonic() - begin:.0f} s")
    outcomes = run_suites(step, allowed)
    say(f"==> {step.name}: {time.monotonic() - begin:.0f} s, {summary(outcomes)}")
    return outcomes


def run_lint(*arguments):
    say(" ".join(["==> lint", *arguments]))
    begin = time.monotonic()
    status = run(["scripts/lint", *arguments])
    return [Outcome("lint", " ".join(["lint", *arguments]), "passed" if status == 0 else "failed", time.monotonic() - begin)]


def summary(outcomes):
    count = Counter(outcome.result for outcome in outcomes)
    return f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"


def machine():
    """The kind of machine and the source, for a report that others read."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.M)
    commit = subprocess.run(["git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, check=False,
                            capture_output=True, text=True).stdout.strip()
    return [f"- {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, commit {commit or 'unknown'}",
            f"- {model.group(1) if model else platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, "
            f"{platform.libc_ver()[0]} {platform.libc_ver()[1]}"]


def write_long_report(outcomes):
    rows = [f"| {outcome.name} | {outcome.result} | {outcome.seconds:.0f} | {outcome.detail} |" for outcome in outcomes]
    LONG_REPORT.write_text("\n".join([
        "# The long tests: the last result", "",
        "Written by `scripts/test --long`: what takes too long for every change.", "",
        *machine(), f"- {summary(outcomes)}, {sum(outcome.seconds for outcome in outcomes):.0f} s", "",
        "| test | result | seconds | |", "| --- | --- | ---: | --- |", *rows, ""]))


def options():
    parser = argparse.ArgumentParser(prog="scripts/test", description="builds and tests malloc9")
    parser.add_argument("--long", action="store_true", help="also run the long tests and write doc/long-run.md")
    parser.add_argument("--step", action="append", choices=[*(step.name for step in STEPS), "lint", "long"],
                        help="run only this step (may be repeated)")
    return parser.parse_args()


def main():
    chosen = options()
    wanted = chosen.step or [*(step.name for step in STEPS), "lint"] + (["long"] if chosen.long else [])
    begin = time.monotonic()
    allowed = allowed_skips()
    outcomes = []
    for step in STEPS:
        if step.name in wanted:
            outcomes += run_step(step, allowed)
    if "lint" in wanted:
        outcomes += run_lint()
    if "long" in wanted:
        long_outcomes = run_step(LONG, allowed) + run_step(CHECKS_LONG, allowed) + run_lint("--deep")
        write_long_report(long_outcomes)
        outcomes += long_outcomes
    for outcome in outcomes:
        if outcome.result != "passed":
            say(f"{outcome.result}: {outcome.step}: {outcome.name} {outcome.detail}".rstrip())
    minutes, seconds = divmod(round(time.monotonic() - begin), 60)
    say(f"took {minutes} min {seconds} s")
    say(summary(outcomes))
    sys.exit(any(outcome.result == "failed" for outcome in outcomes))


if __name__ == "__main__":
    main()
