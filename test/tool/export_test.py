#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""export_test.py LEAKY.C [TEST ...]: each format is read by who it is for, or by its own description, and tells the counts
of the program."""
import csv
import gzip
import io
import json
import re
import struct
import subprocess

import harness
from harness import check, equal
from verbs_test import ENTRY, ITEM, dumped, folder, malloc9


def exported(dump, form, *more):
    done = subprocess.run([harness.tool(), "export", dump, "--format", form, *more], capture_output=True, timeout=60,
                          check=False)
    equal([done.returncode, done.stderr], [0, b""], f"export {form}")
    return done.stdout


def total(dump, key):
    return sum(entry[key] for entry in harness.read_stats(dump)["types"])


def go_pprof(*arguments):
    done = subprocess.run([harness.find_program("go"), "tool", "pprof", *arguments], capture_output=True, text=True,
                          timeout=120, check=False)
    equal(done.returncode, 0, f"go tool pprof {arguments}: {done.stderr}")
    return done.stdout


def pprof():
    with folder() as path:
        dump, profile = dumped(path, "leaky"), path("profile.pb.gz")
        malloc9("export", dump, "--format", "pprof", "-o", profile)
        for kind, session, cache in [("alloc_objects", 500, 10), ("alloc_space", 500 * ITEM, 10 * ENTRY),
                                     ("inuse_objects", 7, None), ("inuse_space", 7 * ITEM, None)]:
            unit = "B" if kind.endswith("space") else ""
            top = go_pprof("-top", *(["-unit=B"] if unit else []), "-nodecount=1000", "-nodefraction=0",
                           f"-sample_index={kind}", profile)
            rows = {row.split()[-1]: row.split()[0] for row in top.splitlines() if row.endswith(("session_new", "cache_fill"))}
            equal(rows.get("session_new"), f"{session}{unit}", f"{kind}\n{top}")
            equal(rows.get("cache_fill"), cache and f"{cache}{unit}", f"{kind}\n{top}")
        raw = go_pprof("-raw", profile)
        info = json.loads(malloc9("info", dump, "--json"))
        for module in info["modules"]:
            check(module["build_id"] in raw and module["path"] in raw, f"{module} is not in {raw}")
        samples = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+): ", raw, re.M)
        for column, key in enumerate(["numallocs", "memalloced", "inuse", "memuse"]):
            equal(sum(int(sample[column]) for sample in samples), total(dump, key), key)
        listing = go_pprof("-raw", "-sample_index=alloc_objects", profile)
        check("session_new" in listing, listing)


def folded():
    with folder() as path:
        dump = dumped(path, "leaky")
        for weight, session in [("memuse", 7 * ITEM), ("inuse", 7), ("requests", 500), ("bytes", 500 * ITEM)]:
            text = exported(dump, "folded", "--weight", weight).decode()
            equal(text, malloc9("stat", dump, "--folded", "--by", weight), weight)
            equal([line.rsplit(" ", 1)[1] for line in text.splitlines() if "session_new" in line], [str(session)], weight)


def chains():
    """Of a program that ran with stack:N, pprof shows who called."""
    with folder() as path:
        dumped(path, "leaky")
        dump, profile = path("chains.m9"), path("chains.pb.gz")
        harness.run_preloaded([path("leaky", "leaky")], conf={"dump": dump, "stack": 8}, require=False)
        malloc9("export", dump, "--format", "pprof", "--names", "debug", "-o", profile, errors=None)
        top = go_pprof("-top", "-cum", "-nodecount=1000", "-nodefraction=0", "-sample_index=alloc_objects", profile)
        rows = {row.split()[-1]: (row.split()[0], row.split()[3]) for row in top.splitlines() if "%" in row and "total" not in row}
        equal([rows.get("session_new"), rows.get("main")], [("500", "500"), ("0", "510")], top)


def speedscope():
    with folder() as path:
        dump = dumped(path, "leaky")
        text = json.loads(exported(dump, "speedscope"))
        equal(text["$schema"], "https://www.speedscope.app/file-format-schema.json", "schema")
        frames = [frame["name"] for frame in text["shared"]["frames"]]
        for profile, key in zip(text["profiles"], ["memuse", "inuse", "numallocs", "memalloced"]):
            equal([profile["type"], profile["startValue"]], ["sampled", 0], "profile")
            equal(len(profile["samples"]), len(profile["weights"]), "samples and weights")
            equal(profile["endValue"], total(dump, key), key)
            equal(sum(profile["weights"]), profile["endValue"], key)
            check(all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample), "frames")
        live = {frames[sample[-1]]: weight for sample, weight in zip(text["profiles"][0]["samples"],
                                                                     text["profiles"][0]["weights"])}
        equal(live["session_new"], 7 * ITEM, "session_new")


def allocinfo():
    with folder() as path:
        dump = dumped(path, "leaky")
        lines = exported(dump, "allocinfo", "--names", "debug").decode().splitlines()
        equal(lines[:2], ["allocinfo - version: 1.0", "#     <size>  <calls> <tag info>"], "head")
        rows = [re.fullmatch(r" *(\d+) +(\d+) (\S+):(\d+)(?: \[([^]]+)\])? func:(.*)", line) for line in lines[2:]]
        check(all(rows), [line for line, row in zip(lines[2:], rows) if not row])
        session = [row for row in rows if row.group(6) == "session_new"]
        equal([(row.group(1), row.group(2), row.group(5)) for row in session], [(str(7 * ITEM), "7", "leaky")], "session_new")
        source = open(session[0].group(3), encoding="utf-8").read().splitlines()
        check("malloc(100)" in source[int(session[0].group(4)) - 1], f"line {session[0].group(4)}")
        equal(sum(int(row.group(1)) for row in rows), total(dump, "memuse"), "bytes")


def prometheus():
    with folder() as path:
        dump = dumped(path, "leaky")
        text = exported(dump, "prometheus", "--by", "function").decode()
        samples = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                check(name not in samples, f"twice: {name}")
                samples[name] = float(value)
        session = [value for name, value in samples.items()
                   if name.startswith("malloc9_live_bytes{") and 'function="leaky!session_new"' in name]
        equal(session, [7.0 * ITEM], "session_new")
        for metric, key in [("malloc9_live_bytes", "memuse"), ("malloc9_allocations_total", "numallocs"),
                            ("malloc9_frees_total", "numfrees"), ("malloc9_live_items", "inuse")]:
            equal(sum(value for name, value in samples.items() if name.startswith(metric + "{")), total(dump, key), metric)
            check(text.count(f"# TYPE {metric} ") == 1, metric)
        promtool = subprocess.run([harness.find_program("promtool"), "check", "metrics"], input=text, capture_output=True,
                                  text=True, timeout=60, check=False)
        equal([promtool.returncode, promtool.stderr], [0, ""], f"promtool: {promtool.stdout}")


def comma_separated():
    with folder() as path:
        dump = dumped(path, "leaky")
        rows = list(csv.DictReader(io.StringIO(exported(dump, "csv", "--by", "function").decode())))
        session = [row for row in rows if row["name"] == "leaky!session_new"]
        equal([(row["inuse"], row["memuse"], row["numallocs"]) for row in session], [("7", str(7 * ITEM), "500")], "csv")
        equal(sum(int(row["memalloced"]) for row in rows), total(dump, "memalloced"), "sum")


def malloc_stats():
    """Read as sys/malloc.h of FreeBSD has the structures, as libmemstat does."""
    with folder() as path:
        dump = dumped(path, "leaky")
        data = exported(dump, "malloc_stats")
        version, cpus, count, pad = struct.unpack_from("<4I", data)
        equal([version, pad], [1, 0], "struct malloc_type_stream_header")
        types, at = {}, 16
        for _ in range(count):
            name = data[at:at + 32].rstrip(b"\0").decode()
            check(len(name) <= 31 and name not in types, f"name {name!r}")
            stats = [struct.unpack_from("<8Q", data, at + 32 + 64 * cpu) for cpu in range(cpus)]
            types[name] = [sum(column) for column in zip(*stats)][:4] + [max(s[4] for s in stats)]
            at += 32 + 64 * cpus
        equal(at, len(data), "size of the stream")
        session = [stats for name, stats in types.items() if "session_new" in name]
        # Items of 112 bytes: FreeBSD's next size is 128 = 16 << 3.
        equal(session, [[500 * ITEM, 493 * ITEM, 500, 493, 1 << 3]], "session_new")
        for column, key in enumerate(["memalloced", "memfreed", "numallocs", "numfrees"]):
            equal(sum(stats[column] for stats in types.values()), total(dump, key), key)


def outputs():
    with folder() as path:
        dump = dumped(path, "plain")
        malloc9("export", dump, status=2, errors="malloc9: export: --format is required (malloc9 export --help lists them)\n")
        malloc9("export", dump, "--format", "csv", "-o", path("none", "x"), status=2,
                errors=f"malloc9: {path('none', 'x')}: No such file or directory\n")
        malloc9("export", dump, "--format", "csv", "-o", "/dev/full", status=1,
                errors="malloc9: /dev/full: No space left on device\n")
        told = json.loads(malloc9("export", dump, "--format", "csv", "-o", path("out.csv"), "--json"))
        equal([told["file"], told["format"]], [path("out.csv"), "csv"], "what --json tells")
        malloc9("export", dump, "--format", "csv", "--json", status=2, errors=None)
        with open(path("out.csv"), "rb") as file:
            equal(file.read(), exported(dump, "csv"), "-o")
        check(gzip.decompress(exported(dump, "pprof")), "gzip")


if __name__ == "__main__":
    harness.main(pprof, folded, chains, speedscope, allocinfo, prometheus, comma_separated, malloc_stats, outputs)
