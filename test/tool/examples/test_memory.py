# SPDX-License-Identifier: BSD-2-Clause
"""How pytest tests the memory of a program: each limit that is broken is in the failure's text."""
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent
APP = os.environ.get("APP", HERE / "app")


def test_memory(tmp_path):
    statistics = tmp_path / "app.m9"
    subprocess.run(["malloc9", "run", "--dump", statistics, "--", APP], check=True)
    done = subprocess.run(["malloc9", "check", statistics, "--budget", HERE / "budget.toml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
