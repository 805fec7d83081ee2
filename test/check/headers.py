#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""headers.py ROOT BUILD: each header of the library and the tool compiles alone, as its folder's sources do.

The source of the same name shows that when it is built, if it includes its header before all else. The others are
compiled here."""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

from sources import project_files

FOLDERS = ("shim", "core", "preload", "tool")


def folder_commands(root, build):
    """{folder: (arguments, working folder)} of one source in each folder."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if source.suffix == ".cc" and source.is_relative_to(root):
            arguments = shlex.split(entry["command"])
            kept = arguments[:arguments.index("-MD")]
            commands.setdefault(source.relative_to(root).parts[0], (kept, entry["directory"]))
    return commands


def built_alone(root, header):
    """Whether the header is the first thing that the source of its name includes."""
    source = root / header.with_suffix(".cc")
    first = re.search(r'^#include [<"]([^">]+)[">]', source.read_text(), re.M) if source.exists() else None
    return first is not None and first[1] in (str(header), header.name)


def compile_header(header, command):
    """What the compiler has against `header`, or an empty text."""
    arguments, folder = command
    text = f'#include "{header}"\n#include "{header}"\n'
    done = subprocess.run([*arguments, "-fsyntax-only", "-x", "c++", "-"], cwd=folder, input=text, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return f"{header} does not compile alone:\n{done.stdout}" if done.returncode else ""


def main():
    root, build = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    commands = folder_commands(root, build)
    headers = [name for name in project_files(root) if name.suffix == ".h" and name.parts[0] in FOLDERS]
    lost = sorted({name.parts[0] for name in headers} - set(commands))
    if lost or not headers:
        sys.exit(f"no source is compiled in {', '.join(lost)}" if lost else "there is no header")
    rest = [name for name in headers if not built_alone(root, name)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        found = [text for text in pool.map(lambda name: compile_header(name, commands[name.parts[0]]), rest) if text]
    print(*found, sep="\n")
    print(f"{len(headers)} headers: {len(headers) - len(rest)} built first in their source, {len(rest)} compiled here, "
          f"{len(found)} that do not compile alone")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
