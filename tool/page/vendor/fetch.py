#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fetch.py: writes the files of this folder anew, from the packages of npm's registry that versions.json names.

A package whose hash is not the one noted there is refused. To move to another version, change `version`, empty
`integrity`, run this and look at what it says. `SHA256SUMS` is what the build checks the files against.
"""
import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def fetch(name, about, folder):
    """{file name here: its bytes} of one package."""
    done = subprocess.run(["npm", "pack", "--silent", f"{name}@{about['version']}"], cwd=folder, check=True,
                          stdout=subprocess.PIPE, text=True)
    archive = pathlib.Path(folder) / done.stdout.split()[-1]
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if integrity != about["integrity"]:
        sys.exit(f"{name} {about['version']}: integrity is {integrity}, versions.json says {about['integrity']!r}")
    with tarfile.open(archive) as tar:
        members = {**about["files"], f"LICENSE-{name}": "LICENSE"}
        return {here: tar.extractfile(f"package/{there}").read() for here, there in members.items()}


def main():
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, about in json.loads((HERE / "versions.json").read_text()).items():
            files.update(fetch(name, about, folder))
    for name, content in files.items():
        (HERE / name).write_bytes(content)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    (HERE / "SHA256SUMS").write_text(sums)


if __name__ == "__main__":
    main()
