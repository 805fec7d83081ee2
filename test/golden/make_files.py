#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make_files.py NAME: makes NAME.tar.xz and NAME.json beside this file, for files_test.py; neither may be there yet.

To be run once for each version of the format, by hand and on Linux with rseq, with MALLOC9_LIB and MALLOC9_TOOL set to
a build of that version. The figures in NAME.json are what that build prints: read them before they are kept.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path("/tmp/malloc9-golden")  # the same wherever this is run: the files name it
VERBS = ("stat", "zones", "info", "sites")
THE_READERS = ("tool_version", "file_size")  # of these nothing is in a live file


def make(lib, work):
    """Runs the sample there; leaves parent.live, child.live and parent.dump."""
    shutil.copy(lib, work / "libmalloc9.so")
    subprocess.run(["cc", "-O2", "-g", "-o", work / "sample", HERE / "sample.c", f"-I{HERE.parents[1] / 'preload'}"],
                   check=True)
    live = work / "live"
    live.mkdir(mode=0o700)
    done = subprocess.run([work / "sample"], check=True, capture_output=True, text=True, env={
        "LD_PRELOAD": str(work / "libmalloc9.so"), "LC_ALL": "C.UTF-8",
        "MALLOC9_CONF": f"stats:{live},dump:{work}/parent.dump"})
    for name, pid in zip(("parent", "child"), done.stdout.split(), strict=True):
        file, = live.glob(f"{pid}-*.live")
        file.rename(work / f"{name}.live")


def figures(tool, folder):
    """{"parent.live stat": what the verb prints, ...}"""
    found = {}
    for file in sorted(path.name for path in pathlib.Path(folder).iterdir()):
        for verb in VERBS:
            names = [] if verb in ("zones", "info") else ["--names", "dump"]
            done = subprocess.run([tool, verb, "--json", *names, os.path.join(folder, file)], check=False, text=True,
                                  capture_output=True, timeout=60)
            if done.returncode or done.stderr:
                sys.exit(f"FAILED: malloc9 {verb} --json {file}: status {done.returncode}: {done.stderr}")
            said = json.loads(done.stdout)
            found[f"{file} {verb}"] = {key: said[key] for key in said if key not in THE_READERS}
    return found


def main():
    archive, kept = HERE / f"{sys.argv[1]}.tar.xz", HERE / f"{sys.argv[1]}.json"
    if archive.exists() or kept.exists():
        sys.exit(f"{archive} and {kept} are kept for good; make files of another name")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(mode=0o700)
    try:
        make(os.environ["MALLOC9_LIB"], WORK)
        # The holes of a live file are not stored, and Python's tarfile makes them again.
        subprocess.run(["tar", "-C", WORK, "--sparse", "--owner=0", "--group=0", "--numeric-owner", "-cJf", archive,
                        "child.live", "parent.live", "parent.dump"], check=True)
        for name in ("sample", "libmalloc9.so", "live"):
            path = WORK / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        kept.write_text(json.dumps(figures(os.environ["MALLOC9_TOOL"], WORK), indent=1) + "\n")
    finally:
        shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
