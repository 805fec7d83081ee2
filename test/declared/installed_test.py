#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""installed_test.py SOURCE...: what `meson install` puts into a folder serves a user: programs are built with what
pkg-config says of malloc9 and nothing else, and run with the library that it names and without."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import harness


def output(*command, env=None):
    done = subprocess.run([str(part) for part in command], env=env, capture_output=True, text=True, check=False)
    harness.equal(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}: status")
    return done.stdout.strip()


def pkg_config(root, *arguments):
    found = [path.parent for path in root.rglob("malloc9.pc")]
    harness.equal(len(found), 1, "malloc9.pc installed")
    env = {**os.environ, "PKG_CONFIG_LIBDIR": str(found[0]), "PKG_CONFIG_SYSROOT_DIR": str(root)}
    return output("pkg-config", *arguments, "malloc9", env=env).split()


def main():
    sources = [pathlib.Path(name).resolve() for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder, "root")
        output("meson", "install", "--no-rebuild", "-C", os.environ["MALLOC9_BUILD"], "--destdir", root)
        flags = pkg_config(root, "--cflags", "--libs")
        harness.check(any(flag.startswith(f"-I{root}") for flag in flags), f"flags: {flags}")
        (library,) = pkg_config(root, "--variable=preload")
        library = library if library.startswith(str(root)) else f"{root}{library}"
        # The tests' own header is beside them; malloc9.h has to come from where it was installed.
        test_root = pathlib.Path(folder, "sources")
        (test_root / "test").mkdir(parents=True)
        (test_root / "test" / "declared").symlink_to(sources[0].parent)
        (test_root / "preload").mkdir()
        (test_root / "preload" / "malloc9.h").write_text("#include <malloc9.h>\n", encoding="ascii")
        for source in sources:
            compiler = ["gcc", "-std=c11"] if source.suffix == ".c" else ["g++", "-std=c++20"]
            program = pathlib.Path(folder, source.name + ".out")
            output(*compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f"-I{test_root}", source, "-o",
                   program, *flags)
            for preload in ("", library):
                told = output(program, "calls", env={**harness.preload_env(), "LD_PRELOAD": preload})
                harness.equal(json.loads(told)["present"], int(preload != ""), f"the library in {source.name}")


main()
