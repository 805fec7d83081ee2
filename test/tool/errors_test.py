#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# errors_test.py MALLOC9 MAKE_DUMP [ROUNDS]: bad use, bad files and failing outputs. Each is one line on standard error
# that says what is wrong, and the right exit status; ROUNDS damaged dumps go through the command with 256 MiB.
import json
import os
import random
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

tool, make_dump = sys.argv[1:3]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 200


def run(*arguments, stdout=subprocess.PIPE, memory=None):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    return subprocess.run([tool, *arguments], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                          preexec_fn=limit if memory else None, timeout=60, check=False)


class Errors(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="malloc9-errors-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.golden = self.made("golden")

    def path(self, name):
        return os.path.join(self.folder, name)

    def made(self, case):
        path = self.path(case + ".m9")
        with open(path, "wb") as file:
            subprocess.run([make_dump, case], stdout=file, check=True)
        return path

    def written(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def refused(self, text, *arguments, status=2, **options):
        done = run(*arguments, **options)
        self.assertEqual(done.stderr.decode(), f"malloc9: {text}\n")
        self.assertEqual(done.returncode, status)
        self.assertFalse(done.stdout)

    def live(self, path):
        """Bytes in use, without which there is nothing to fold."""
        return sum(t["memuse"] for t in json.loads(run("stat", "--json", path).stdout)["types"] if t["memuse"] > 0)

    def test_bad_use(self):
        self.refused("which verb? (malloc9 --help lists them)")
        self.refused("stats: no such verb (malloc9 --help lists them)", "stats")
        self.refused("\\x1b[31m: no such verb (malloc9 --help lists them)", "\x1b[31m")
        self.refused("--bad: no such verb (malloc9 --help lists them)", "--bad")
        self.refused("FILE is required (malloc9 --help tells more)", "stat")
        self.refused("--json excludes --csv (malloc9 --help tells more)", "stat", "--json", "--csv", self.golden)
        self.refused("The following argument was not expected: --bad (malloc9 --help tells more)", "zones", "--bad",
                     self.golden)
        self.refused("run: which program? (malloc9 run [OPTIONS] -- PROG ARGS)", "run")
        self.refused("run: which program? (malloc9 run [OPTIONS] -- PROG ARGS)", "run", "--print", "--")

    def test_files_that_are_none(self):
        for verb in "stat", "zones", "sites", "leaks", "info":
            path = self.path("none")
            self.refused(f"{path}: No such file or directory", verb, path)
            self.refused(f"{self.folder}: is a directory", verb, self.folder)
            path = self.written("empty", b"")
            self.refused(f"{path}: the file is empty (at byte 0)", verb, path)
            self.refused("/dev/null: the file is empty (at byte 0)", verb, "/dev/null")
            self.refused("/bin/sh: not a statistics file of malloc9 (at byte 0)", verb, "/bin/sh")
            self.refused("/dev/zero: not a statistics file of malloc9 (at byte 0)", verb, "/dev/zero")
            path = self.written("text\n2", b"text")
            self.refused(self.folder + "/text\\x0a2: not a statistics file of malloc9 (at byte 0)", verb, path)

    def test_other_versions(self):
        path = self.made("version2")
        self.refused(f"{path}: written by another version of malloc9, in a format that this one does not know "
                     "(at byte 8)", "stat", path)
        path = self.made("swapped")
        self.refused(f"{path}: written on a machine of the other byte order (at byte 16)", "stat", path)

    def test_damage(self):
        path = self.made("no-type")
        done = run("stat", path)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.decode(), r"^malloc9: .*: a cell names a type that is not there \(at byte \d+\)\n$")

    def test_cut_short(self):
        with open(self.golden, "rb") as file:
            whole = file.read()
        for size in 1, 50, 103:
            path = self.written("cut", whole[:size])
            self.refused(f"{path}: the file is cut short: its header is not complete (at byte {size})", "stat", path)
        for size in 104, 500, len(whole) - 1:
            path = self.written("cut", whole[:size])
            self.refused(f"{path}: the file is cut short: {size} bytes of {len(whole)} (at byte {size})", "stat", path)

    def test_larger_than_memory(self):
        with open(self.golden, "rb") as file:
            whole = bytearray(file.read())
        for size, text in [(1 << 30, "its 1073741824 bytes do not fit into memory (at byte 24)"),
                           (1 << 40, "1099511627776 bytes, more than the 4294967296 that this program reads (at byte 24)")]:
            whole[24:32] = size.to_bytes(8, "little")
            path = self.written("large", whole)
            os.truncate(path, size)
            self.refused(f"{path}: {text}", "stat", path, memory=256 << 20)

    def test_pipes(self):
        read_end, write_end = os.pipe()
        with open(self.golden, "rb") as file:
            os.write(write_end, file.read())
        os.close(write_end)
        done = subprocess.run([tool, "stat", "/dev/stdin"], stdin=read_end, stdout=subprocess.PIPE, check=True)
        os.close(read_end)
        self.assertEqual(done.stdout, run("stat", self.golden).stdout)

    def test_no_permission(self):
        if os.getuid() == 0:
            return  # root may read all
        os.chmod(self.golden, 0)
        self.refused(f"{self.golden}: Permission denied", "stat", self.golden)

    def test_output_that_fails(self):
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode), "/dev/full was replaced by a file")
        for arguments in [["stat"], ["stat", "--json"], ["stat", "--csv"], ["zones"], ["--help"], ["run", "--help"]]:
            if arguments[0] == "stat" or arguments[0] == "zones":
                arguments.append(self.golden)
            with open("/dev/full", "wb") as full:
                self.refused("standard output: No space left on device", *arguments, stdout=full, status=1)
        with open("/dev/full", "wb") as full:
            self.refused("standard output: No space left on device", "stat", self.made("big"), stdout=full, status=1)

    def test_help_and_version(self):
        self.assertRegex(run("--version").stdout.decode(), r"^malloc9 \d+\.\d+\.\d+\n$")
        overview = run("--help").stdout.decode()
        for verb in "run", "stat", "zones", "sites", "leaks", "diff", "info", "merge", "check", "export", "completion":
            self.assertIn(f"\n  {verb} ", overview)
            done = run(verb, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn(f"Usage: malloc9 {verb} [OPTIONS]", done.stdout.decode())
            self.assertGreater(done.stdout.count(b"\n"), 12)

    def test_damaged_dumps(self):
        with open(self.golden, "rb") as file:
            whole = file.read()
        chance = random.Random(rounds)
        formats = "pprof", "folded", "speedscope", "allocinfo", "prometheus", "csv", "malloc_stats"
        readers = [["stat"], ["stat", "--json"], ["stat", "--csv", "--percpu"], ["zones", "--json"], ["sites", "--by", "module"],
                   ["sites", "--json", "--sort", "rate"], ["leaks"], ["diff", self.golden], ["diff", "--json", self.golden],
                   ["info"], ["info", "--json"], ["merge", "-o", "/dev/stdout", self.golden],
                   *(["export", "--format", name] for name in formats)]
        read = 0
        for number in range(rounds):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(data))
                data[at] = chance.choice([0, 255, 128, 1, chance.randrange(256)])
            if chance.random() < 0.1:
                del data[chance.randrange(len(data)):]
            path = self.written("damaged", data)
            verb = readers[number % len(readers)]
            done = run(*verb, path, memory=256 << 20)
            what = f"round {number}: status {done.returncode}, {done.stderr!r}"
            if done.returncode == 0:
                read += 1
                self.assertFalse(done.stderr, what)
                self.assertTrue(done.stdout or ("folded" in verb and not self.live(path)), what)
            else:
                self.assertEqual(done.returncode, 2, what)
                self.assertRegex(done.stderr.decode(), r"^malloc9: [^\n]*/damaged: [^\n]*\(at byte \d+\)\n$", what)
                self.assertFalse(done.stdout, what)
        self.assertGreater(read, rounds // 20)
        self.assertLess(read, rounds * 19 // 20)


unittest.main(argv=sys.argv[:1])
