# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of live files share: a folder for them, and what is in it."""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile

import harness


@contextlib.contextmanager
def folder():
    """A folder for live files, in memory."""
    path = tempfile.mkdtemp(prefix="malloc9-test-", dir="/dev/shm")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def files(path):
    return sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".live"))


def file_of(path, pid):
    found = [name for name in files(path) if os.path.basename(name).startswith(f"{pid}-")]
    harness.equal(len(found), 1, f"live files of {pid}")
    return found[0]


def tool(*arguments, status=0, **more):
    done = subprocess.run([harness.tool(), *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          check=False, **more)
    harness.check(status is None or done.returncode == status,
                  f"malloc9 {arguments}: status {done.returncode}: {done.stderr}")
    return done


def stat(path):
    """`malloc9 stat --json`, and the types of it by "module!function"."""
    stats = json.loads(tool("stat", "--json", path).stdout)
    by_name = {}
    for entry in stats["types"]:
        by_name.setdefault(entry["type"].rsplit("+0x", 1)[0], []).append(entry)
    return stats, by_name


def processes(path):
    return json.loads(tool("ps", "--json", path).stdout)
