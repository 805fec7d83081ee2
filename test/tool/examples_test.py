#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The examples as their readers run them: each passes, and fails with the function's name once the program leaks."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import harness
from harness import check, equal

EXAMPLES = pathlib.Path(__file__).parent / "examples"


@contextlib.contextmanager
def copied():
    with tempfile.TemporaryDirectory(prefix="malloc9-examples-") as folder:
        shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
        yield pathlib.Path(folder)


def run(folder, *command, status=0, **environment):
    """What the command writes, with malloc9 on the PATH."""
    path = f"{os.path.dirname(harness.tool())}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MESON_") and name != "MALLOC9_CONF"}
    done = subprocess.run([str(part) for part in command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, check=False,
                          env={**kept, "PATH": path, "MALLOC9_LIB": harness.library(), **environment})
    equal(done.returncode, status, f"status of {command}: {done.stdout}")
    return done.stdout


def tells_who(text):
    check("function app!request_*" in text and "leaks" in text and "app!request_new: 20" in text, text)


def meson():
    with copied() as folder:
        run(folder, "meson", "setup", "build")
        check("1/1 memory OK" in run(folder, "meson", "test", "-C", "build"), "meson test")
        run(folder, "meson", "configure", "build", "-Dc_args=-DFORGET")
        tells_who(run(folder, "meson", "test", "-C", "build", "--print-errorlogs", status=1, JUNIT=str(folder / "memory.xml")))
        suite = xml.parse(folder / "memory.xml").getroot()[0]
        equal([suite.get("tests"), suite.get("failures")], ["3", "1"], "JUnit")


def ctest():
    with copied() as folder:
        run(folder, "cmake", "-S", ".", "-B", "build")
        run(folder, "cmake", "--build", "build")
        check("100% tests passed" in run(folder, "ctest", "--test-dir", "build", "-R", "memory"), "ctest")
        run(folder, "cmake", "-S", ".", "-B", "build", "-DCMAKE_C_FLAGS=-DFORGET")
        run(folder, "cmake", "--build", "build")
        tells_who(run(folder, "ctest", "--test-dir", "build", "--output-on-failure", status=8))


def pytest():
    with copied() as folder:
        run(folder, "cc", "-g", "-rdynamic", "app.c", "-o", "app")
        check("1 passed" in run(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_memory.py"),
              "pytest")
        run(folder, "cc", "-g", "-rdynamic", "-DFORGET", "app.c", "-o", "app")
        tells_who(run(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_memory.py", status=1))


if __name__ == "__main__":
    harness.main(meson, ctest, pytest)
