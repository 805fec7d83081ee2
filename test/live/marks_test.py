#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""marks_test.py MARKS: marks that a program makes and that are made of it from outside hold the counts of that moment,
and verbs compare them."""
import json
import os
import subprocess
import sys

import harness
import live
from harness import equal


def requests(path):
    return live.stat(path)[1]["marks!site"][0]["numallocs"]


def grown(before, after):
    """What `malloc9 diff` says of the call site."""
    answer = json.loads(live.tool("diff", "--json", before, after, status=None).stdout)
    return json.dumps(answer).count("marks!site") > 0


def main():
    with live.folder() as folder:
        process = subprocess.Popen(sys.argv[1:2], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=harness.preload_env(conf={"stats": folder}))
        equal(process.stdout.readline(), b"first\n", "its first word")
        path = live.file_of(folder, process.pid)
        told = json.loads(live.tool("mark", "--json", path, "later").stdout)
        equal([told["mark"], told["file"], told["pid"]], ["later", path + "@later", process.pid], "what mark tells")
        process.stdin.write(b"x")
        process.stdin.flush()
        equal(process.stdout.readline(), b"second\n", "its second word")
        equal([requests(path + "@warm"), requests(path + "@later"), requests(path)], [100, 150, 175], "requests")
        equal(live.processes(folder)[0]["marks"], ["later", "warm"], "marks")
        equal(os.stat(path + "@later").st_mode & 0o777, 0o600, "mode of a mark made from outside")
        equal(os.stat(path + "@warm").st_mode & 0o777, 0o600, "mode of the program's mark")
        equal([grown(path + "@warm", path + "@later"), grown(path + "@warm", path + "@warm")], [True, False], "diffs")
        live.tool("leaks", path + "@warm")
        for target, name in ((path, "a/b"), (path, ""), (path + "@warm", "x"), (sys.argv[1], "x")):
            equal(live.tool("mark", target, name, status=2).stderr.count("\n"), 1, f"lines about a mark {name}")
        process.stdin.write(b"x")
        process.stdin.close()
        equal(process.wait(20), 0, "status")
        process.stdout.close()
        live.tool("mark", path, "end")
        equal(requests(path + "@end"), 175, "requests at the end")
        live.tool("gc", folder)
        equal(os.listdir(folder), [], "what gc left")
        # Without a live file there are no marks.
        done = subprocess.run(sys.argv[1:2], input=b"xx", stdout=subprocess.DEVNULL, check=False, timeout=20,
                              env=harness.preload_env())
        equal(done.returncode, 6, "status without a live file")


try:
    main()
except harness.Failed as failure:
    sys.exit(f"FAILED: {failure}")
