#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""files_test.py: the verbs read what earlier versions wrote, and say of it what they said then.

NAME.tar.xz has a live file of a process that ended, one of its child that was killed, and a dump, as the library of
that version wrote them; NAME.json has what `malloc9 stat`, `zones`, `info` and `sites` with --json said of each. Every
later version must read them: of each object all that is kept must be there and be equal, and lists must be equal as a
whole; more keys may come. Neither file is ever made anew. When the format's version changes, make_files.py makes files of
another name beside these, by hand:

    MALLOC9_LIB=build/preload/libmalloc9.so MALLOC9_TOOL=build/tool/malloc9 test/golden/make_files.py version2
"""
import json
import os
import pathlib
import sys
import tarfile
import tempfile

import make_files

HERE = pathlib.Path(__file__).resolve().parent


def differences(kept, found, where):
    """What is kept and is not so any more."""
    if isinstance(kept, dict) and isinstance(found, dict):
        for key, value in kept.items():
            if key in found:
                yield from differences(value, found[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is gone"
    elif isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        for i, (one, other) in enumerate(zip(kept, found)):
            yield from differences(one, other, f"{where}[{i}]")
    elif type(kept) is not type(found) or kept != found:
        yield f"{where}: {kept!r} was kept, now it is {found!r}"


def is_said(kept):
    """The figures are those of the sample, whatever is kept: sample.c says what it does."""
    def of(file, function):
        entry, = (t for t in kept[f"{file} stat"]["types"] if t["type"].split("+0x")[0] == function)
        return entry["numallocs"], entry["numfrees"]

    wanted = {("parent.live", "sample!small"): (110, 10), ("parent.live", "orders"): (20, 0),
              ("parent.live", "sample!large"): (6, 4), ("parent.dump", "sample!small"): (110, 10),
              ("child.live", "sample!small"): (1107, 1000), ("child.live", "orders"): (21, 0)}
    return [f"{who}: {of(*who)} was kept of what was {figures}" for who, figures in wanted.items() if of(*who) != figures]


def check(archive):
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as files:
            files.extractall(folder)  # with the holes of a live file
        for path in pathlib.Path(folder).glob("*.live"):
            if path.stat().st_blocks * 512 * 10 > path.stat().st_size:
                return [f"{path} has no holes here"]
        found = make_files.figures(os.environ["MALLOC9_TOOL"], folder)
    kept = json.loads(archive.with_name(archive.name.replace(".tar.xz", ".json")).read_text())
    return is_said(kept) + list(differences(kept, found, archive.name))


def main():
    # The comparison itself can tell.
    if not (list(differences({"a": [1]}, {"a": [2]}, "")) and list(differences({"a": 1}, {}, "")) and
            list(differences([1], [1, 2], "")) and not list(differences({"a": [1]}, {"a": [1], "b": 2}, ""))):
        sys.exit("FAILED: files that differ are taken for equal")
    archives = sorted(HERE.glob("*.tar.xz"))
    if not archives:
        sys.exit("FAILED: there are no files")
    wrong = [line for archive in archives for line in check(archive)]
    print(*wrong[:50], sep="\n")
    print(f"{len(archives)} archives read")
    sys.exit(f"FAILED: {len(wrong)} differences" if wrong else 0)


if __name__ == "__main__":
    main()
