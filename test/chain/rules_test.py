#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""rules_test.py SAMPLE: types named by the user's rules, counted to the last one; and what is said of bad rules."""
import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import equal

source = os.path.abspath(sys.argv.pop(1))
folder = tempfile.mkdtemp(prefix="malloc9-rules-")
atexit.register(shutil.rmtree, folder)
rules_path = os.path.join(folder, "rules")
program = os.path.join(folder, "rules_sample")
plugins = [os.path.join(folder, name) for name in ("one.so", "two.so")]

RULES = """\
# What the program's parts are.
type alpha module libalpha.so*

type json\tsymbol json_*
type json   module */libbeta.so symbol beta_?elper # no
wrapper symbol pool_* module rules_sample
type b symbol worker_b
type one module one.so
""".replace(" # no", "")


def build(output, *options):
    done = subprocess.run(["gcc", "-O1", "-g", "-o", os.path.join(folder, output), source, *options],
                          capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stderr)


def built():
    build("libalpha.so", "-DALPHA", "-shared", "-fPIC")
    build("libbeta.so", "-DBETA", "-shared", "-fPIC")
    for plugin in plugins:
        build(plugin, "-DPLUGIN", "-shared", "-fPIC", "-Wl,-soname=" + os.path.basename(plugin))
    build("rules_sample", "-DPROGRAM", f"-L{folder}", "-Wl,--no-as-needed", "-lalpha", "-lbeta", f"-Wl,-rpath,{folder}")


def rules_are(text):
    with open(rules_path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def counts(stats):
    """Allocations by type; of one that a place names, by module and function."""
    found = {}
    for entry in stats["types"]:
        name = entry["type"].split("+0x")[0]
        found[name] = found.get(name, 0) + entry["numallocs"]
    return found


def part(found, *names):
    """The counts of the sample's own types."""
    ours = ("alpha", "json", "b", "one", "libalpha", "libbeta", "rules_sample", "two.so", "one.so") + names
    return {name: n for name, n in found.items() if name.split("!")[0].removesuffix(".so") in ours
            or name.split("!")[0] in ours}


WITHOUT = {"libalpha.so!alpha_start": 3, "libalpha.so!alpha_make": 5, "libalpha.so!alpha_copy": 7,
           "libbeta.so!json_parse": 11, "libbeta.so!beta_helper": 17, "libbeta.so!beta_work": 19,
           "rules_sample!main": 13, "rules_sample!pool_get": 10}
WITH = {"alpha": 15, "json": 41, "libbeta.so!beta_work": 19, "rules_sample!worker_a": 4, "b": 6}


def sample(conf, *arguments, **more):
    result = harness.run_preloaded([program, *arguments], conf={"audit": "exit"} | conf, **more)
    audit = [line for line in result.stderr.splitlines() if line.startswith("malloc9: audit: ok: ")]
    equal(len(audit), 1, f"good audits in {result.stderr!r}")
    result.stderr = "".join(line for line in result.stderr.splitlines(True) if line.rstrip("\n") not in audit)
    return result


def test_counts():
    rules_are(RULES)
    for mode in "rseq", "fallback":
        result = sample({}, mode=mode)
        equal(part(counts(result.stats)), WITHOUT, f"{mode}: without rules")
        result = sample({"types": rules_path}, mode=mode)
        equal((part(counts(result.stats)), result.stderr), (WITH, ""), f"{mode}: with rules")
        names = [entry["type"] for entry in result.types]
        equal(sorted(set(names)), sorted(names), f"{mode}: each type once")


def test_order():
    rules_are("type first symbol alpha_make\ntype alpha module libalpha.so\ntype never symbol alpha_*\n")
    found = counts(sample({"types": rules_path}).stats)
    equal((found["first"], found["alpha"], "never" in found), (5, 10, False), "the first rule that matches")


def test_callers_as_they_are():
    rules_are(RULES)
    found = counts(sample({"types": rules_path, "depth": 1}).stats)
    equal((found["alpha"], found["json"], found["rules_sample!pool_get"]), (8, 41, 10), "with depth:1")


def test_plugins():
    rules_are(RULES)
    for mode in "rseq", "fallback":
        result = sample({"types": rules_path}, *plugins, mode=mode)
        equal(result.stdout, "same place\n", "where the second plugin lies")
        found = counts(result.stats)
        equal((found.get("one"), found.get("two.so!plugin_work")), (5, 5), f"{mode}: a plugin at another's place")


def test_forked():
    rules_are(RULES)
    result = harness.run_preloaded(["/bin/sh", "-c", f"{program}; {program}"], conf={"types": rules_path})
    every = [result.stats, *result.children]
    equal([part(counts(stats)) for stats in every if stats["program"] == "rules_sample"], [WITH, WITH], "both runs")


BAD = [
    ("modul libx type x\n", 1, 1, "expected type or wrapper"),
    ("type alpha module libalpha.so\n\n  type", 3, 7, "expected the name of a type"),
    ("type (x) module y\n", 1, 6, "the name of a type does not begin with ("),
    (f"type {'x' * 101} module y\n", 1, 6, "the name of a type has more than 100 bytes"),
    ("type x\n", 1, 7, "expected module, symbol or file"),
    ("type x libx.so\n", 1, 8, "expected module, symbol or file"),
    ("type x module \n", 1, 15, "expected a pattern"),
    ("# good\ntype x module a symbol b module c\n", 2, 26, "is given twice"),
    ("wrapper file x.c\n", 1, 9, "a wrapper is not known by its file"),
    ("wrapper\n", 1, 8, "expected module, symbol or file"),
    ("type x module y\r\n", 1, 16, "a control character"),
    ("type x module y\n" * 1001, 1001, 1, "more than 1000 rules"),
]


def test_errors():
    for text, line, column, what in BAD:
        rules_are(text)
        result = sample({"types": rules_path})
        where = f"{rules_path}:{line}:{column}: {what}"
        equal(result.stderr, f"malloc9: MALLOC9_CONF: types: {where}, using no rules\n", "standard error")
        equal(part(counts(result.stats)), WITHOUT, f"counts under {text[:40]!r}")
        done = subprocess.run([harness.tool(), "stat", "--types", rules_path, kept_dump()], capture_output=True,
                              text=True, check=False)
        equal((done.returncode, done.stdout, done.stderr), (2, "", f"malloc9: {where}\n"), f"malloc9 stat of {text!r}")


def test_files():
    for path, what in ((os.path.join(folder, "none"), "no such file or directory"), (folder, "is not a regular file"),
                       ("/dev/null", "is not a regular file")):
        result = sample({"types": path})
        equal(result.stderr, f"malloc9: MALLOC9_CONF: types: {path}: {what}, using no rules\n", "standard error")
        equal(part(counts(result.stats)), WITHOUT, f"counts under {path}")
    result = sample({"types": ""})
    equal(result.stderr, 'malloc9: MALLOC9_CONF: bad value "" for types, using no rules\n', "standard error")
    for empty in "", "# nothing\n\n":
        rules_are(empty)
        result = sample({"types": rules_path})
        equal((part(counts(result.stats)), result.stderr), (WITHOUT, ""), "an empty file")
    with open(rules_path, "wb") as file:
        file.truncate(1024 * 1024 + 1)
    result = sample({"types": rules_path})
    equal(result.stderr, f"malloc9: MALLOC9_CONF: types: {rules_path}: file too large, using no rules\n", "too large")


def kept_dump(**conf):
    dump = os.path.join(folder, "kept.m9")
    if conf or not os.path.exists(dump):
        done = subprocess.run([program], env=harness.preload_env(mode="rseq", conf={"dump": dump} | conf), check=False)
        equal(done.returncode, 0, "status")
    return dump


def test_tool():
    def stats(dump):
        done = subprocess.run([harness.tool(), "stat", "--json", "--types", rules_path, dump], capture_output=True,
                              text=True, check=False)
        equal((done.returncode, done.stderr), (0, ""), "malloc9 stat --types")
        return json.loads(done.stdout)

    rules_are(RULES)
    # The chain is gone by then, so the library alone knows what called a wrapper.
    wanted = {"alpha": 15, "json": 28, "libbeta.so!beta_work": 19, "rules_sample!main": 13,
              "rules_sample!pool_get": 10}
    equal(part(counts(stats(kept_dump()))), wanted, "rules in the tool")
    rules_are(RULES + "type sources file rules_sample.c symbol beta_*\ntype sources file */rules_sample.c\n")
    # pool_get is none of them: that it is a wrapper is the first rule that it matches.
    wanted = {"alpha": 15, "json": 28, "sources": 19 + 13, "rules_sample!pool_get": 10}
    equal(part(counts(stats(kept_dump())), "sources"), wanted, "rules by source file")
    ruled = kept_dump(types=rules_path)
    wanted = {"alpha": 15, "json": 41, "b": 6, "sources": 19 + 4}
    found = stats(ruled)
    equal(part(counts(found), "sources"), wanted, "rules in both")
    equal(found["program"], "rules_sample", "program")


built()
harness.main(test_counts, test_order, test_callers_as_they_are, test_plugins, test_forked, test_errors, test_files,
             test_tool)
