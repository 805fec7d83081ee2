#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""one_up_test.py PROGRAM: allocations one step above a wrapper are counted for their function, whatever else stands on
the stack, and as MALLOC9_CONF says, even where they began before it was read."""
import collections
import os
import sys
import tempfile

import harness

HELPER = MADE = 100
ONE_UP, LARGE, TWO_UP = 4 * (3 + 499), 4 * (3 + 5 * 499), 4 * 3
EARLY = 3
PROGRAM = os.path.abspath(sys.argv[1])


def counts(conf):
    result = harness.run_preloaded([PROGRAM], conf=conf)
    by_function = collections.Counter()
    for entry in result.stats["types"]:
        function = entry["type"].partition("!")[2].partition("+0x")[0]
        if function in ("xmalloc", "xcalloc", "make", "helper", "made", "early", "one_up", "one_up_large", "two_up"):
            by_function[function] += entry["numallocs"]
    return by_function


def test_functions():
    harness.equal(counts({}), {"helper": HELPER + EARLY, "make": MADE + EARLY, "one_up": ONE_UP,
                                        "one_up_large": LARGE, "two_up": TWO_UP})


def test_depth_that_is_read_late():
    wrapped = HELPER + ONE_UP + LARGE + TWO_UP
    harness.equal(counts({"depth": 1}), {"helper": EARLY, "xmalloc": wrapped, "make": MADE + EARLY})
    harness.equal(counts({"depth": 2}), {"helper": HELPER + EARLY, "make": MADE + EARLY, "one_up": ONE_UP,
                                                  "one_up_large": LARGE, "xcalloc": TWO_UP})


def test_rules_that_are_read_late():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rules")
        harness.write_text(path, "wrapper symbol make\n")
        harness.equal(counts({"types": path}),
                      {"helper": HELPER + EARLY, "make": EARLY, "made": MADE, "one_up": ONE_UP,
                       "one_up_large": LARGE, "two_up": TWO_UP})


if __name__ == "__main__":
    sys.argv[1:] = sys.argv[2:]
    harness.main(test_functions, test_depth_that_is_read_late, test_rules_that_are_read_late)
