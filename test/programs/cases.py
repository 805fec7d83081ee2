# SPDX-License-Identifier: BSD-2-Clause
"""The cases by name; the modules of each theme add theirs with @case."""
import pathlib

CASES = {}
WORKLOADS = pathlib.Path(__file__).resolve().parent / "workloads"
SOURCE_ROOT = pathlib.Path(__file__).resolve().parents[2]


def case(name):
    def add(function):
        assert name not in CASES, name
        CASES[name] = function
        return function
    return add
