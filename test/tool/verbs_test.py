#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""verbs_test.py LEAKY.C [TEST ...]: sites, leaks, diff, info, merge and check on a program whose counts are known."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import harness
from harness import check, equal, read_text, write_text

SOURCE = sys.argv.pop(1)
ITEM, ENTRY = 112, 3072  # what 100 and 3,000 bytes occupy
LEAKS = {"plain": 0, "leaky": 7, "shifted": 7}


def malloc9(*arguments, status=0, errors=""):
    """What the command writes; its errors are compared, unless None."""
    done = subprocess.run([harness.tool(), *arguments], capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, status, f"status of {arguments}: {done.stdout}{done.stderr}")
    if errors is not None:
        equal(done.stderr, errors, f"errors of {arguments}")
    return done.stdout


def of(entries, name):
    found = [entry for entry in entries if entry["name"].endswith(name)]
    check(len(found) == 1, f"{name} is there {len(found)} times: {[entry['name'] for entry in entries]}")
    return found[0]


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="malloc9-verbs-") as path:
        yield lambda *names: os.path.join(path, *names)


def dumped(path, kind):
    """The dump of one build of the program, which was run under the library."""
    program = path(kind, "leaky")
    if not os.path.exists(program):
        os.makedirs(path(kind), exist_ok=True)
        flags = [f"-DLEAK={LEAKS[kind]}", *(["-DSHIFT"] if kind == "shifted" else [])]
        subprocess.run(["cc", "-O1", "-g", "-rdynamic", "-Wl,--build-id", *flags, SOURCE, "-o", program], check=True)
    dump = path(kind + ".m9")
    result = harness.run_preloaded([program], conf={"dump": dump}, require=False)
    equal(result.rc, 0, "status of the program")
    stats = harness.read_stats(dump)
    harness.check_in_use(stats)
    equal(sum(t["numallocs"] for t in stats["types"] if "session_new" in t["type"]), 500, "sessions")
    return dump


def sites():
    with folder() as path:
        dump = dumped(path, "leaky")
        by_function = json.loads(malloc9("sites", dump, "--by", "function", "--json"))
        session = of(by_function["sites"], "!session_new")
        equal([session[key] for key in ("inuse", "memuse", "numallocs", "numfrees", "memalloced")],
              [7, 7 * ITEM, 500, 493, 500 * ITEM], "session_new")
        cache = of(by_function["sites"], "!cache_fill")
        equal([cache["inuse"], cache["numallocs"], cache["memalloced"]], [0, 10, 10 * ENTRY], "cache_fill")
        equal(session["rate"], 500 / by_function["seconds"], "rate")
        by_module = json.loads(malloc9("sites", dump, "--by", "module", "--json"))["sites"]
        equal(of(by_module, "leaky")["numallocs"], 510, "of the program")
        total = harness.read_stats(dump)["types"]
        for by in "type", "function", "file", "module":
            entries = json.loads(malloc9("sites", dump, "--by", by, "--json", errors=None))["sites"]
            for key in "inuse", "memuse", "numallocs", "numfrees":
                equal(sum(e[key] for e in entries), sum(t[key] for t in total), f"sum of {key} by {by}")
        by_file = json.loads(malloc9("sites", dump, "--by", "file", "--json", errors=None))["sites"]
        equal(of(by_file, "leaky.c")["numallocs"], 510, "by source file")
        for sort, key in [("live", "memuse"), ("allocs", "numallocs"), ("peak", "highuse"), ("rate", "rate")]:
            entries = json.loads(malloc9("sites", dump, "--sort", sort, "--json"))["sites"]
            values = [entry[key] for entry in entries]
            equal(values, sorted(values, reverse=True), sort)
            equal(len(json.loads(malloc9("sites", dump, "--sort", sort, "--json", "--top", "2"))["sites"]), 2, "--top")
        text = malloc9("sites", dump, "--by", "function", "--sort", "allocs", "--top", "1")
        check(text.splitlines()[1].split()[:5] == ["leaky!session_new", "7", "1K", text.splitlines()[1].split()[3], "500"],
              text)
        check("\x1b" not in text, "colours in a pipe")


def leaks():
    with folder() as path:
        leaky, plain = dumped(path, "leaky"), dumped(path, "plain")
        found = json.loads(malloc9("leaks", leaky, "--json"))
        equal([of(found["leaks"], "!session_new")[key] for key in ("inuse", "memuse")], [7, 7 * ITEM], "leaks")
        equal(found["inuse"], sum(t["inuse"] for t in harness.read_stats(leaky)["types"]), "all that is live")
        ignored = ("--ignore", "libc.so.6*", "--ignore", "ld-linux*")
        text = malloc9("leaks", leaky, "--fail", *ignored, status=1)
        check(f"leaky!session_new      7    {7 * ITEM}       500\n7 items of {7 * ITEM} bytes live, of 1 functions\n" in text, text)
        malloc9("leaks", leaky, *ignored)
        equal(malloc9("leaks", plain, "--fail", *ignored), "0 items of 0 bytes live, of 0 functions\n", "no leak")


def diff():
    with folder() as path:
        plain, leaky, shifted = (dumped(path, kind) for kind in LEAKS)
        equal(json.loads(malloc9("diff", leaky, leaky, "--json"))["changes"], [], "nothing changed")
        # The builds differ, so names are what is compared.
        for old, new, items in (plain, leaky, 7), (leaky, plain, -7):
            session = of(json.loads(malloc9("diff", old, new, "--json"))["changes"], "!session_new")
            equal([session[key] for key in ("matched", "inuse", "memuse", "numallocs")], ["name", items, items * ITEM, 0],
                  "session_new")
        equal([c["name"] for c in json.loads(malloc9("diff", leaky, shifted, "--json"))["changes"] if "leaky!" in c["name"]],
              [], "code that moved")
        # Another run of the same build is matched by place, though it changed its name.
        other = path("leaky", "other")
        os.rename(path("leaky", "leaky"), other)
        again = path("again.m9")
        harness.run_preloaded([other], conf={"dump": again}, require=False)
        merged = path("merged.m9")
        malloc9("merge", again, leaky, "-o", merged)
        changes = json.loads(malloc9("diff", leaky, merged, "--json"))["changes"]
        session = [c for c in changes if "!session_new" in c["name"]]
        equal([[c["matched"], c["inuse"], c["numallocs"]] for c in session], [["place", 7, 500]], "by place")
        check("(all) " in malloc9("diff", plain, leaky), "the line of all")


def info():
    with folder() as path:
        dump = dumped(path, "leaky")
        found = json.loads(malloc9("info", dump, "--json"))
        equal([found["mode"], found["format_version"], found["folded"]], ["rseq", 1, 0], "info")
        ours = [module for module in found["modules"] if module["path"].endswith("/leaky")]
        notes = subprocess.run(["readelf", "-n", path("leaky", "leaky")], capture_output=True, text=True, check=True).stdout
        check(ours and f"Build ID: {ours[0]['build_id']}\n" in notes, f"build-id: {ours}")
        equal(found["types"], len(harness.read_stats(dump)["types"]), "number of types")
        harness.run_preloaded([path("leaky", "leaky")], mode="fallback", conf={"dump": dump}, require=False)
        text = malloc9("info", dump)
        check("\nMode         fallback: " in text and "rseq" in text, text)


def merge():
    with folder() as path:
        dumps = [dumped(path, kind) for kind in LEAKS]
        merged = path("merged.m9")
        told = json.loads(malloc9("merge", *dumps, "--output", merged, "--json"))
        equal([told["file"], told["processes"], told["types"]],
              [merged, 3, json.loads(malloc9("info", merged, "--json"))["types"]], "what merge tells")
        sums = json.loads(malloc9("sites", merged, "--by", "function", "--json"))["sites"]
        equal([of(sums, "!session_new")[key] for key in ("inuse", "numallocs")], [14, 1500], "sum")
        parts = [t for dump in dumps for t in harness.read_stats(dump)["types"]]
        equal(sum(e["numallocs"] for e in sums), sum(t["numallocs"] for t in parts), "sum of all")
        malloc9("merge", dumps[0], status=2, errors="malloc9: --output is required (malloc9 --help tells more)\n")
        malloc9("merge", dumps[0], "-o", path("none", "x"), status=2,
                errors=f"malloc9: {path('none', 'x')}: No such file or directory\n")
        malloc9("merge", dumps[0], SOURCE, "-o", path("none.m9"), status=2,
                errors=f"malloc9: {SOURCE}: not a statistics file of malloc9 (at byte 0)\n")
        check(not os.path.exists(path("none.m9")), "a file for nothing")


BUDGET = """# Sessions end; the cache is emptied.
[[budget]]
function = "*!session_*"
leaks = 0
allocations = { exactly = 500 } # no more, no fewer

[[budget]]
function = "leaky!cache_fill"
peak = "30 KiB"
live = 0
rate = 1_000_000_000

[[budget]]
module = "leaky"
live = "1 KiB"
"""


def budgets():
    with folder() as path:
        plain, leaky = dumped(path, "plain"), dumped(path, "leaky")
        budget, junit = path("budget.toml"), path("junit.xml")
        write_text(budget, BUDGET)
        equal(malloc9("check", plain, "--budget", budget), "0 of 6 limits broken\n", "kept")
        text = malloc9("check", leaky, "--budget", budget, "--junit", junit, "--github", status=1)
        lines = text.splitlines()
        equal(lines[1].split(), ["function", "*!session_*", "leaks", "=", "0", "7"], text)
        equal(lines[2:4], ["  leaky!session_new: 7", "1 of 6 limits broken"], text)
        equal(lines[4], f"::error file={budget},line=4,title=malloc9%3A leaks of function *!session_*::function *!session_*: "
              "leaks is 7, wanted exactly 0 (leaky!session_new: 7)", "annotation")
        suite = xml.parse(junit).getroot()[0]
        equal([suite.get("tests"), suite.get("failures")], ["6", "1"], "JUnit")
        equal([case.get("name") for case in suite if len(case)], ["function *!session_* leaks"], "JUnit")
        check("session_new: 7" in suite.find("testcase/failure").get("message"), "JUnit names the function")
        found = json.loads(malloc9("check", leaky, "--budget", budget, "--json", status=1))
        equal([limit["measured"] for limit in found["limits"] if limit["figure"] == "allocations"], [500], "JSON")
        equal([limit["measured"] for limit in found["limits"] if limit["figure"] == "live"], [0, 7 * ITEM], "JSON")


def bless():
    with folder() as path:
        plain, leaky = dumped(path, "plain"), dumped(path, "leaky")
        budget = path("budget.toml")
        write_text(budget, BUDGET.replace("rate = 1_000_000_000\n", ""))
        malloc9("check", leaky, "--budget", budget, "--bless", errors=f"malloc9: {budget}: holds today's figures now\n")
        blessed = read_text(budget)
        peak = of(json.loads(malloc9("sites", leaky, "--by", "function", "--json"))["sites"], "!cache_fill")["highuse"]
        want = BUDGET.replace("leaks = 0", "leaks = 7").replace('"30 KiB"', str(peak)).replace('"1 KiB"', str(7 * ITEM))
        equal(blessed, want.replace("rate = 1_000_000_000\n", ""), "the blessed file, comments and all")
        malloc9("check", leaky, "--budget", budget)
        malloc9("check", plain, "--budget", budget)
        new = path("new.toml")
        malloc9("check", leaky, "--budget", new, "--bless", errors=f"malloc9: {new}: written\n")
        check('function = "leaky!session_new"\n' in read_text(new).replace("'", '"'), read_text(new))
        malloc9("check", leaky, "--budget", new)
        malloc9("check", plain, "--budget", new)
        write_text(new, read_text(new).replace(f"live = {7 * ITEM}\n", f"live = {7 * ITEM - 1}\n"))
        malloc9("check", leaky, "--budget", new, status=1)


def baseline():
    with folder() as path:
        plain, leaky = dumped(path, "plain"), dumped(path, "leaky")
        malloc9("check", leaky, "--baseline", leaky)
        malloc9("check", plain, "--baseline", leaky)
        text = malloc9("check", leaky, "--baseline", plain, "--max-growth", "5%", status=1)
        check(["function", "leaky!session_new", "live", "=", "0", str(7 * ITEM)] in [row.split() for row in text.splitlines()],
              text)
        malloc9("check", leaky, "--baseline", plain, "--min-growth", str(7 * ITEM))
        malloc9("check", leaky, "--baseline", plain, "--min-growth", str(7 * ITEM - 1), status=1)


def bad_budgets():
    with folder() as path:
        dump, budget = dumped(path, "plain"), path("bad.toml")
        for text, line, column, what in [
                ("[[budget]]\nfunction = 5\nleaks = 0\n", 2, 12, 'function: wants a glob, such as "cache_*"'),
                ('[[budget]]\nfunction = "x"\n', 1, 1, "a budget wants a limit: live, peak, allocations, rate or leaks"),
                ("[[budget]]\nleaks = 0\n", 1, 1, "a budget wants type, function, file or module, and a glob"),
                ('[[budget]]\nfunction = "x"\nlive = "5 QB"\n', 3, 8,
                 '5 QB: not a size ("64 KiB"; units: B, K, M, G, KiB, MiB, GiB, kB, MB, GB)'),
                ('[[budget]]\nfunction = "x"\nleaks = -1\n', 3, 9, "leaks: wants a whole number, 0 or more"),
                ('[[budget]]\nfunction = "x"\nlaeks = 1\n', 3, 1,
                 "laeks: no such figure (there are live, peak, allocations, rate and leaks)"),
                ('[[budget]]\nfunction = "x"\nlive = { max = 1, min = 2 }\n', 3, 8, "live: min is above max"),
                ('[[budgets]]\nfunction = "x"\n', 1, 3, "budgets: unknown (a budget file has [[budget]] tables)")]:
            write_text(budget, text)
            malloc9("check", dump, "--budget", budget, status=2, errors=f"malloc9: {budget}:{line}:{column}: {what}\n")
        write_text(budget, '[[budget]]\nfunction = "x\n')
        done = subprocess.run([harness.tool(), "check", dump, "--budget", budget], capture_output=True, text=True, check=False)
        check(done.returncode == 2 and done.stderr.startswith(f"malloc9: {budget}:2:") and done.stderr.count("\n") == 1,
              done.stderr)
        malloc9("check", dump, status=2, errors="malloc9: check: against what? (--budget FILE, --baseline OLD)\n")
        malloc9("check", dump, "--budget", path("none"), status=2,
                errors=f"malloc9: {path('none')}: No such file or directory\n")
        malloc9("check", dump, "--baseline", dump, "--max-growth", "much", status=2,
                errors="malloc9: --max-growth much: wants a percentage, such as 5%\n")


if __name__ == "__main__":
    harness.main(sites, leaks, diff, info, merge, budgets, bless, baseline, bad_budgets)
