# SPDX-License-Identifier: BSD-2-Clause
"""The allocators that are compared: what to preload for each, and what to do where one is missing."""
import dataclasses
import glob
import os
import subprocess

LIBRARY_FOLDERS = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]

# name, file, Debian package
PACKAGED = [
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("mimalloc", "libmimalloc.so.2.0", "libmimalloc2.0"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
]


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    library: str  # the file whose malloc must be the one that a program is bound to
    preload: bool = True  # False: the library is there anyway (glibc)
    ours: bool = False  # a build of malloc9: never among the peers that it is compared with
    given: bool = False  # from --with: shown, but no bar is about it
    package: str = ""

    def describe(self):
        version = ""
        if self.package:
            asked = subprocess.run(["dpkg-query", "-W", "-f=${Version}", self.package], capture_output=True, text=True)
            version = asked.stdout.strip()
        return {"library": os.path.basename(self.library), "package": self.package, "version": version}


def find_library(name):
    for folder in LIBRARY_FOLDERS:
        for path in glob.glob(os.path.join(folder, name)):
            return os.path.realpath(path)
    return None


def find_peers(builds, given):
    """Returns the peers, ours first, and a line for each that is missing.

    builds: name -> path of a libmalloc9.so, or None where it was not built. given: NAME=PATH of --with."""
    peers, missing = [], []
    for name, path in builds.items():
        if path:
            peers.append(Peer(name, os.path.realpath(path), ours=True))
        else:
            missing.append(f"{name}: not built")
    peers.append(Peer("glibc", find_library("libc.so.6"), preload=False, package="libc6"))
    for name, file, package in PACKAGED:
        path = find_library(file)
        if path:
            peers.append(Peer(name, path, package=package))
        else:
            missing.append(f"{name}: no {file}; it is in Debian's package {package}")
    for text in given:
        name, _, path = text.partition("=")
        if not name or not os.path.isfile(path):
            raise SystemExit(f"bench: --with {text}: NAME=/path/to/lib.so is expected, and the file must be there")
        peers.append(Peer(name, os.path.realpath(path), given=True))
    return peers, missing
