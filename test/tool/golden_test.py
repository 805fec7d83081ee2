#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# golden_test.py MALLOC9 MAKE_DUMP [--bless]: what the verbs print of a kept dump is what is kept beside it, to the byte;
# and the kept dump, version 1 of the format, is still what the format's declaration says, to the byte.
import csv
import io
import json
import os
import subprocess
import sys

tool, make_dump = sys.argv[1:3]
bless = "--bless" in sys.argv
golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
dump = os.path.join(golden, "version1.m9")
failures = 0

commands = {
    "stat.txt": ["stat", dump],
    "stat.json": ["stat", "--json", dump],
    "stat.csv": ["stat", "--csv", dump],
    "stat-percpu.txt": ["stat", "--percpu", dump],
    "stat-percpu.csv": ["stat", "--percpu", "--csv", dump],
    "zones.txt": ["zones", dump],
    "zones.json": ["zones", "--json", dump],
    "zones.csv": ["zones", "--csv", dump],
    "zones-percpu.txt": ["zones", "--percpu", dump],
    "zones-percpu.csv": ["zones", "--percpu", "--csv", dump],
}


def fail(text):
    global failures
    failures += 1
    print("FAILED:", text)


def output_of(argv, status=0):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != status or done.stderr:
        fail(f"{argv}: status {done.returncode}, {done.stderr.decode()!r}")
    return done.stdout


def compare(name, data):
    path = os.path.join(golden, name)
    if bless:
        with open(path, "wb") as file:
            file.write(data)
    with open(path, "rb") as file:
        kept = file.read()
    if kept != data:
        fail(f"{name} differs from what is kept; now it is:\n{data.decode(errors='replace')}")


compare("version1.m9", output_of([make_dump, "golden"]))
for name, arguments in commands.items():
    compare(name, output_of([tool] + arguments))

# What the verbs on groups make of it; what they compare it with.
for name, status, arguments in [
        ("sites.txt", 0, ["sites", dump]), ("sites.json", 0, ["sites", dump, "--json", "--by", "function"]),
        ("sites-module.txt", 0, ["sites", dump, "--by", "module", "--sort", "rate"]),
        ("leaks.txt", 0, ["leaks", dump, "--top", "2"]), ("leaks.json", 1, ["leaks", dump, "--json", "--fail"]),
        ("info.txt", 0, ["info", dump]), ("info.json", 0, ["info", dump, "--json"]),
        ("check.txt", 1, ["check", dump, "--budget", os.path.join(golden, "budget.toml")])]:
    compare(name, output_of([tool, *arguments], status))

# A child's dump has a section more, and so has what was merged.
child_commands = ("stat.txt", "stat.json", "stat.csv", "stat-percpu.txt", "zones.txt")
for case in "child", "merged":
    compare(case + ".m9", output_of([make_dump, case]))
    for name in child_commands:
        compare(f"{case}-{name}", output_of([tool, *commands[name][:-1], os.path.join(golden, case + ".m9")]))

# The figures by other ways: JSON and CSV are what their own readers make of them.
stat = json.loads(output_of([tool, "stat", "--json", dump]))
if list(stat)[:3] != ["program", "pid", "mode"] or "types" not in stat:
    fail(f"keys of the JSON: {list(stat)}")
wanted = ["type", "numallocs", "numfrees", "memalloced", "memfreed", "inuse", "memuse", "sizes", "percpu"]
for t in stat["types"]:
    if [key for key in t if key in wanted] != wanted:
        fail(f"keys of a type: {list(t)}")
    for key in wanted[1:5]:
        if sum(cpu[key] for cpu in t["percpu"]) != t[key]:
            fail(f"{t['type']}: {key} is not the sum of the CPUs'")
    if t["inuse"] != t["numallocs"] - t["numfrees"] or t["memuse"] != t["memalloced"] - t["memfreed"]:
        fail(f"{t['type']}: what is live is not the difference")
rows = list(csv.DictReader(io.StringIO(output_of([tool, "stat", "--csv", dump]).decode())))
if [(r["type"], int(r["memuse"])) for r in rows] != [(t["type"], t["memuse"]) for t in stat["types"]]:
    fail("CSV and JSON disagree")
zones = json.loads(output_of([tool, "zones", "--json", dump]))["zones"]
if sum(z["req"] for z in zones) != sum(t["numallocs"] for t in stat["types"]):
    fail("the zones' requests are not the types'")

# A later version's file, with larger entries and a section that is unknown, reads the same; and one with many types.
made = os.path.join(os.environ.get("MESON_BUILD_ROOT", "/tmp"), f"golden-test-{os.getpid()}.m9")
try:
    for case in ["later", "big", "empty"]:
        with open(made, "wb") as file:
            file.write(output_of([make_dump, case]))
        text = output_of([tool, "stat", made])
        if case == "later":
            compare("stat.txt", text)
        if case == "big" and (text.count(b"\n") != 60002 or b"60000 types, 2880000 bytes live" not in text):
            fail(f"big: {text[:200]}")
        if case == "empty" and b", 0 types, 0 bytes live\n" not in text:
            fail(f"empty: {text}")
finally:
    os.unlink(made)

print(f"{failures} failures")
sys.exit(1 if failures else 0)
