# SPDX-License-Identifier: BSD-2-Clause
"""The bench works: every workload runs and gives the same outcome under malloc9 and glibc, the means are right, and a run
that used another malloc than it should have is refused. No times are judged here."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import figures
import live
import peers
import programs
import runs

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["MALLOC9_BUILD"]
OWN = list(programs.lists()["allocator workloads"])


def bench(*options):
    """Runs the bench on a hundredth of the work and returns what it printed and its JSON."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "out.json")
        done = subprocess.run([sys.executable, os.path.join(HERE, "bench.py"), "--no-build", "--build", BUILD, "--json", file,
                               "--scale", "0.01", "--rounds", "1", "--peers", "malloc9,glibc", *options],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"bench {' '.join(options)}: {done.stdout}{done.stderr}")
        with open(file) as f:
            return done.stdout, json.load(f)


class Figures(unittest.TestCase):
    def test_spread_and_mean(self):
        self.assertEqual(figures.spread([5, 1, 3, 2, 4]), {"median": 3, "low": 2, "high": 4})
        self.assertAlmostEqual(figures.geometric_mean([1, 2, 4]), 2)

    def test_ratios_are_paired(self):
        run = lambda ms: {"user_us": ms * 1000, "sys_us": 0}
        by_peer = {"a": [run(1), run(20), run(3)], "b": [run(2), run(40), run(6)]}
        self.assertEqual(figures.ratio_spread(by_peer, "a", "b", "cpu")["median"], 0.5)
        self.assertEqual(figures.best_peer(by_peer, ["a", "b"], "cpu"), "a")
        mean = figures.mean_of_ratios({"x": by_peer, "y": {"a": by_peer["b"], "b": by_peer["a"]}}, ["x", "y"], "a",
                                      lambda _: "b", "cpu")
        self.assertAlmostEqual(mean["median"], 1)


class Windows(unittest.TestCase):
    def test_reader_windows_are_compared_with_their_neighbours(self):
        ms = 1_000_000
        windows = [(i * 50 * ms, i % 2 == 1) for i in range(6)]
        # A piece each millisecond; while the reader looks they take 2% more CPU time.
        parts = [(i * ms, 1020 if i // 50 % 2 else 1000) for i in range(1, 300)]
        ratios = live.window_ratios(list(live.window_costs(windows, parts)))
        self.assertEqual(len(ratios), 2)
        for cpu, wall in ratios:
            self.assertAlmostEqual(cpu, 1.02)
            self.assertAlmostEqual(wall, 1)


class Proofs(unittest.TestCase):
    def prove(self, peer, name="hot"):
        with tempfile.TemporaryDirectory() as work:
            runner = runs.Runner(BUILD, work)
            runner.prove(runs.Case(name, [os.path.join(BUILD, "test/bench/workloads"), name, "scale=0.001"]), peer)
            return runner.modes

    def test_library_without_malloc_is_refused(self):
        module = os.path.join(BUILD, "test/bench/libbench_module.so")
        with self.assertRaisesRegex(runs.Failed, "called malloc of .*libc"):
            self.prove(peers.Peer("impostor", module))

    def test_missing_library_is_refused(self):
        with self.assertRaises(runs.Failed):
            self.prove(peers.Peer("absent", "/nonexistent/lib.so"))

    def test_malloc9_is_proved_by_its_counts(self):
        library = os.path.join(BUILD, "preload/libmalloc9.so")
        modes = self.prove(peers.Peer("malloc9", os.path.realpath(library), ours=True))
        self.assertEqual(list(modes), ["malloc9"])

    def test_failing_program_is_refused(self):
        with self.assertRaises(runs.Failed), tempfile.TemporaryDirectory() as work:
            runs.Runner(BUILD, work).run(runs.Case("false", ["false"]), peers.Peer("glibc", "", preload=False))


class Runs(unittest.TestCase):
    def test_own_workloads(self):
        with tempfile.TemporaryDirectory() as folder:
            svg = os.path.join(folder, "out.svg")
            text, result = bench("--only", ",".join(OWN), "--svg", svg)
            xml.etree.ElementTree.parse(svg)
        self.assertEqual(sorted(result["runs"]), sorted(OWN))
        for by_peer in result["runs"].values():
            self.assertEqual(sorted(by_peer), ["glibc", "malloc9"])
            for runs_of_peer in by_peer.values():
                self.assertEqual(len(runs_of_peer), 1)
                self.assertGreater(runs_of_peer[0]["wall_ns"], 0)
                self.assertGreater(runs_of_peer[0]["maxrss_kib"], 500)
        self.assertIn("geometric mean", text)

    def test_given_back(self):
        _, result = bench("--rss", "--only", "rss-1024-ticking")
        (by_peer,) = result["rss"].values()
        # A hundredth of 1 GiB was really held.
        self.assertGreater(by_peer["malloc9"][0]["peak_mib"], 10)

    def test_chains(self):
        text, result = bench("--chains")
        self.assertEqual(sorted(result["chains"]), ["direct", "sights", "starts", "starts, CPU", "steps"])
        self.assertEqual([len(by["default"]) for by in result["chains"]["steps"].values()], [1] * 7)
        self.assertGreater(result["chains"]["sights"]["first sight"]["default"][0], 0)
        self.assertIn("each step up", text)

    def test_live(self):
        text, result = bench("--live", "--scale", "0.2")
        self.assertEqual([len(by) for by in result["live"].values()], [3, 2, 1])
        for by_round in result["live"]["reader"].values():
            self.assertGreater(by_round[0]["looks"], 0)
        self.assertIn("looks/s", text)

    def test_curves(self):
        _, result = bench("--scaling", "--only", "types")
        self.assertGreater(result["scaling"]["types"]["malloc9"]["60000"][0], 0)


if __name__ == "__main__":
    unittest.main()
