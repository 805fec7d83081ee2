#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# run_test.py MALLOC9 FAKE_LIBRARY: `malloc9 run` around programs of every fate, with a stand-in for the library whose
# figures are known (fake_library.cc); and, where MALLOC9_LIB names the real one, with that too.
import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

tool, fake = (os.path.abspath(path) for path in sys.argv[1:3])
real = os.environ.get("MALLOC9_LIB", "")
python = sys.executable
first_line = r"^malloc9: {} \(pid (\d+)\), rseq, 5 types, 8002240 bytes live\nType  "


def setUpModule():
    """Whoever started the tests may have signals ignored (nohup, a job in the background), and run passes that on."""
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="malloc9-run-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.temporary = self.path("tmp")
        os.mkdir(self.temporary)
        self.environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "MALLOC9_CONF")}
        self.environment |= {"MALLOC9_LIB": fake, "TMPDIR": self.temporary, "LC_ALL": "C"}

    def tearDown(self):
        self.assertEqual(os.listdir(self.temporary), [], "run left files behind")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_tool(self, *arguments, env=None, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.run([tool, "run", *arguments], env=self.environment | (env or {}), timeout=60, text=True,
                              check=False, **options)

    def start(self, *arguments, **options):
        return subprocess.Popen([tool, "run", *arguments], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **options)

    def statistics(self, path):
        return json.loads(subprocess.run([tool, "stat", "--json", path], stdout=subprocess.PIPE, check=True).stdout)

    def test_table_on_stderr(self):
        done = self.run_tool("echo", "hello", "world")
        self.assertEqual((done.returncode, done.stdout), (0, "hello world\n"))
        self.assertRegex(done.stderr, first_line.format("echo"))

    def test_only_the_process_that_was_started(self):
        done = self.run_tool("--print", "--", "bash", "-c", "echo $$; /bin/true; (/bin/true; exec /bin/false) & wait; exit 7")
        self.assertEqual(done.returncode, 7)
        self.assertEqual(re.match(first_line.format("bash"), done.stderr)[1], done.stdout.strip())
        self.assertEqual(done.stderr.count("bytes live"), 1)

    def test_an_exec_keeps_the_process(self):
        done = self.run_tool("bash", "-c", "echo $$; exec ls /dev/null")
        self.assertEqual(re.match(first_line.format("ls"), done.stderr)[1], done.stdout.split()[0])

    def test_dump(self):
        path = self.path("out.m9")
        done = self.run_tool("--dump", path, "--", "bash", "-c", "/bin/true; echo $$")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.statistics(path)["pid"], int(done.stdout))
        self.assertEqual(os.listdir(self.folder), ["tmp", "out.m9"] if os.listdir(self.folder)[0] == "tmp" else ["out.m9", "tmp"])
        with open(path, "ab") as file:
            file.write(b"x" * 100000)
        done = self.run_tool("--print", "--dump=" + path, "true")
        self.assertRegex(done.stderr, first_line.format("true"))
        self.assertLess(os.path.getsize(path), 10000)

    def test_json(self):
        done = self.run_tool("--json", "bash", "-c", "exit 3")
        self.assertEqual(done.returncode, 3)
        told = json.loads(done.stderr)
        self.assertEqual(told["program"], "bash")
        self.assertTrue(any(entry["numallocs"] for entry in told["types"]), done.stderr)

    def test_dump_relative_to_where_run_was_called(self):
        self.run_tool("--dump", "here.m9", "--", "bash", "-c", "cd /", cwd=self.folder)
        self.assertEqual(self.statistics(self.path("here.m9"))["program"], "bash")

    def test_children(self):
        done = self.run_tool("--children", "bash", "-c", "/bin/true; /bin/true | cat; exit 3")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(done.stderr.count("Requests"), 1)
        self.assertIn("malloc9: bash (pid ", done.stderr)
        self.assertIn("malloc9: note: 4 processes merged\n", done.stderr)
        self.assertRegex(done.stderr, r"\nsample!name_copy\+0x20 +380 +6K +>=2K +400  16\n".replace(">=2K", ">=6K"))

    def test_children_in_one_file(self):
        path = self.path("all.m9")
        done = self.run_tool("--children", "--dump", path, "bash", "-c", "for i in 1 2 3 4 5; do /bin/true; done")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        stat = self.statistics(path)
        self.assertEqual(stat["notes"]["processes merged"], 6)
        self.assertEqual(stat["notes"]["foreign frees"], 72)
        self.assertEqual({t["type"]: t["numallocs"] for t in stat["types"]}["sample!node_new+0x1c"], 6 * 121)

    def test_children_without_the_first(self):
        done = self.run_tool("--children", "bash", "-c", "/bin/true; kill -9 $$")
        self.assertEqual(done.returncode, 137)
        self.assertRegex(done.stderr, r"^malloc9: bash \(pid \d+\) left no statistics: signal 9 \(Killed\) killed it\n")
        self.assertIn("malloc9: note: 1 processes merged\n", done.stderr)
        self.assertIn("malloc9: bash (pid ", done.stderr.split("\n")[1])

    def test_dumps_of_children_are_taken_on_the_way(self):
        child = self.start("bash", "-c", "for i in {1..40}; do /bin/true; done; echo done; read x; exit 0",
                           stdin=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), "done\n")
        folder = os.path.join(self.temporary, os.listdir(self.temporary)[0])
        end = time.monotonic() + 60
        while len(os.listdir(folder)) >= 10 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertLess(len(os.listdir(folder)), 10)
        self.assertIsNone(child.poll())
        child.communicate("\n", timeout=60)
        self.assertEqual(child.returncode, 0)

    def test_nothing_left(self):
        for how, text in [("import os; os._exit(3)", "it became a program without the library, ended by a raw system "
                           "call or on a signal's stack, or never used the library"),
                          ("import os; os.kill(os.getpid(), 15)", "signal 15 (Terminated) killed it"),
                          ("import os; os.abort()", "signal 6 (Aborted) killed it")]:
            path = self.path("none.m9")
            done = self.run_tool("--dump", path, python, "-c", how)
            self.assertRegex(done.stderr, r"^malloc9: python3\S* \(pid \d+\) left no statistics: " + re.escape(text) + "\n$")
            self.assertFalse(os.path.exists(path))
            self.assertEqual(done.returncode, 3 if "_exit" in how else 143 if "kill(" in how else 134)
        with open(path, "w") as file:
            file.write("kept")
        self.run_tool("--dump", path, python, "-c", "import os; os._exit(3)")
        with open(path) as file:
            self.assertEqual(file.read(), "kept")

    def test_a_dump_that_is_cut_short(self):
        done = self.run_tool("true", env={"FAKE_DUMP": "cut"})
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"^malloc9: \S+\.m9: the file is cut short: .*\n$")

    def test_no_table_of_zeros(self):
        done = self.run_tool("true", env={"FAKE_DUMP": "zero"})
        self.assertRegex(done.stderr, r"^malloc9: true \(pid \d+\), rseq: it allocated nothing\n$")

    def test_arguments_are_the_programs(self):
        done = self.run_tool("printf", "%s.", "--", "--dump", "-x", "", "a b")
        self.assertEqual(done.stdout, "--.--dump.-x..a b.")
        done = self.run_tool("--", "printf", "%s.", "--", "--help", "--json")
        self.assertEqual(done.stdout, "--.--help.--json.")

    def test_environment(self):
        other = shutil.copy(fake, self.path("other.so"))
        conf = self.path("conf")
        done = self.run_tool("printenv", "LD_PRELOAD", env={"LD_PRELOAD": other, "FAKE_CONF_FILE": conf,
                             "MALLOC9_CONF": "rseq:false,first:1,,decay_ms:5"})
        self.assertEqual(done.stdout, f"{fake}:{other}\n")
        with open(conf) as file:
            arrived = file.read().split("\n")[1]  # the command itself is preloaded here, and comes first
        self.assertRegex(arrived, "^rseq:false,decay_ms:5,dump_private:true,dump:" + re.escape(self.temporary) + r"/malloc9-\w{6}/%p\.%n\.m9$")

    def test_library_by_option(self):
        copy = shutil.copy(fake, self.path("copy.so"))
        done = self.run_tool("--lib", copy, "printenv", "LD_PRELOAD", env={"MALLOC9_LIB": "/nonexistent"})
        self.assertEqual(done.stdout, copy + "\n")
        done = self.run_tool("--lib", "copy.so", "printenv", "LD_PRELOAD", cwd=self.folder)
        self.assertEqual(done.stdout, copy + "\n")

    def test_library_that_is_none(self):
        spaced = shutil.copy(fake, self.path("a b.so"))
        for path, text in [("/nonexistent.so", "No such file or directory"), ("/etc/passwd", "is not libmalloc9.so"),
                           ("/bin/true", "is not libmalloc9.so"),
                           (spaced, "LD_PRELOAD cannot name a path with a space or a colon")]:
            done = self.run_tool("--lib", path, "echo", "started")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", f"malloc9: {path}: {text}\n"))

    def test_library_as_installed(self):
        os.makedirs(self.path("bin"))
        installed = shutil.copy(tool, self.path("bin"))
        del self.environment["MALLOC9_LIB"]

        def run():
            return subprocess.run([installed, "run", "printenv", "LD_PRELOAD"], env=self.environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)

        done = run()
        self.assertEqual((done.returncode, done.stderr),
                         (2, "malloc9: libmalloc9.so is not where it belongs; say where with --lib or MALLOC9_LIB\n"))
        for folder in "lib/x86_64-linux-gnu/malloc9", "lib/x86_64-linux-gnu", "lib64", "lib/malloc9", "lib":
            os.makedirs(self.path(folder), exist_ok=True)
            library = shutil.copy(fake, self.path(folder + "/libmalloc9.so"))
            self.assertEqual(run().stdout, library + "\n", folder)
            os.unlink(library)

    def test_dump_paths_that_fail(self):
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode), "/dev/full was replaced by a file")
        for path, text in [("/nonexistent/x.m9", "No such file or directory"), (self.folder, "Is a directory")]:
            done = self.run_tool("--dump", path, "echo", "started")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", f"malloc9: {path}: {text}\n"))
        done = self.run_tool("--dump", "/dev/full", "echo", "started")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "started\n", "malloc9: /dev/full: No space left on device\n"))
        self.assertEqual(self.run_tool("--dump", "/dev/full", "bash", "-c", "exit 9").returncode, 9)

    def test_stderr_that_fails(self):
        with open("/dev/full", "w") as full:
            self.assertEqual(self.run_tool("true", stderr=full).returncode, 1)
            self.assertEqual(self.run_tool("bash", "-c", "exit 9", stderr=full).returncode, 9)

    catcher = ("import signal, sys, time\n"
               "got = []\n"
               "for s in (1, 2, 3, 10, 12, 15): signal.signal(s, lambda n, f: got.append(n))\n"
               "print('ready', flush=True)\n"
               "end = time.time() + 30\n"
               "while not got and time.time() < end: time.sleep(0.01)\n"
               "time.sleep(0.3)\n"
               "print(*got)\nsys.exit(42)\n")

    def test_signals_are_passed_on(self):
        for number in 1, 2, 3, 10, 12, 15:
            child = self.start(python, "-c", self.catcher)
            self.assertEqual(child.stdout.readline(), "ready\n")
            child.send_signal(number)
            out, err = child.communicate(timeout=60)
            self.assertEqual((out, child.returncode), (f"{number}\n", 42))
            self.assertRegex(err, first_line.format(r"python3\S*"))

    dies = ("import signal\n"
            "signal.signal(2, signal.SIG_DFL)\n"  # python's own is an exception
            "print('ready', flush=True)\n"
            "signal.alarm(60)\n"
            "signal.pause()\n")

    def test_signals_that_kill(self):
        for number in 1, 2, 3, 15:
            child = self.start(python, "-c", self.dies)
            self.assertEqual(child.stdout.readline(), "ready\n")
            child.send_signal(number)
            _, err = child.communicate(timeout=60)
            self.assertEqual(child.returncode, 128 + number)
            self.assertIn(f"signal {number} (", err)

    def test_ignored_signals_stay_ignored(self):
        child = self.start("bash", "-c", "echo ready; read x", stdin=subprocess.PIPE,
                           preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertEqual(child.stdout.readline(), "ready\n")
        child.send_signal(signal.SIGHUP)
        time.sleep(0.3)  # were it passed on, it would come now
        _, err = child.communicate("\n", timeout=60)
        self.assertEqual(child.returncode, 0, err)

    def test_signal_masks_arrive_as_they_were(self):
        def masks(*command):
            done = subprocess.run([*command, "cat", "/proc/self/status"], env=self.environment, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, check=True)
            found = dict(re.findall(r"^Sig(Blk|Ign):\t(\w+)$", done.stdout, re.M))
            return int(found["Blk"], 16), int(found["Ign"], 16) & 0x7fffffff  # glibc's own two are not a program's

        self.assertEqual(masks(tool, "run"), masks())
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        self.addCleanup(signal.pthread_sigmask, signal.SIG_UNBLOCK, [signal.SIGUSR2])
        self.assertEqual(masks(tool, "run"), (1 << (signal.SIGUSR2 - 1), masks()[1]))

    def test_interrupt_from_the_terminal_comes_once(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(tool, [tool, "run", python, "-c", self.catcher], self.environment)
        text = b""
        while b"ready" not in text:
            text += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        try:
            while chunk := os.read(terminal, 1000):
                text += chunk
        except OSError:
            pass  # the other end was closed
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), 42)
        self.assertRegex(text, rb"ready(\^C)?\r\n(\^C)?2\r\n")  # the echo may come in between

    def test_a_child_ignored_by_us(self):
        done = self.run_tool("bash", "-c", "exit 5", preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(done.returncode, 5)

    def test_stdin_is_the_programs(self):
        done = self.run_tool("cat", stdin=None, input="text\n")
        self.assertEqual(done.stdout, "text\n")


@unittest.skipUnless(os.path.exists(real), "the library is not built")
class RunReal(unittest.TestCase):
    def setUp(self):
        self.environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "MALLOC9_CONF")}

    def run_tool(self, *arguments):
        return subprocess.run([tool, "run", *arguments], env=self.environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)

    def test_table(self):
        done = self.run_tool("ls", "/")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"^malloc9: ls \(pid \d+\), (rseq|fallback: .*), [1-9]\d* types, \d+ bytes live\nType ")
        self.assertRegex(done.stderr, r"\n(ls|libc)\S*\+0x")

    def test_found_beside_the_command(self):
        del self.environment["MALLOC9_LIB"]
        self.assertTrue(os.path.samefile(os.path.join(os.path.dirname(tool), "../preload/libmalloc9.so"), real))
        self.assertIn("bytes live", self.run_tool("ls", "/").stderr)

    def test_children(self):
        done = self.run_tool("--children", "bash", "-c", "ls / | sort | cat; exit 4")
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stderr, r"malloc9: note: \d+ processes merged\n")
        self.assertRegex(done.stderr, r"\nsort!?\S*\+0x")

    def test_programs_that_end_by__exit(self):
        done = self.run_tool("sh", "-c", "echo x; exit 3")
        self.assertEqual((done.returncode, done.stdout), (3, "x\n"))
        self.assertRegex(done.stderr, r"^malloc9: sh \(pid \d+\), [^\n]*, [1-9]\d* types, \d+ bytes live\nType ")
        done = self.run_tool(python, "-c", "import os; os._exit(4)")
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stderr, r"^malloc9: python3\S* \(pid \d+\), ")

    def test_a_child_that_outlives_run(self):
        with tempfile.TemporaryDirectory() as folder:
            self.environment["TMPDIR"] = folder
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)
            code = f"(read _ < {fifo}; ls /dev/null; exit 0) & exit 0"
            with open(os.path.join(folder, "stderr"), "w+", encoding="ascii") as stderr, subprocess.Popen(
                    [tool, "run", "--children", "bash", "-c", code], env=self.environment, text=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr) as run:
                self.assertEqual(run.wait(60), 0)
                with open(fifo, "w", encoding="ascii") as late:
                    late.write("go\n")
                self.assertEqual(run.stdout.read(), "/dev/null\n")  # to its end: the child has ended too
                stderr.seek(0)
                text = stderr.read()
            self.assertIn("malloc9: note: 1 processes merged\n", text)
            self.assertNotIn("cannot write", text)
            self.assertEqual(sorted(os.listdir(folder)), ["fifo", "stderr"])

    def test_dump_and_verbs(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.m9")
            code = "x = [bytearray(100000) for i in range(100)]; print(len(x))"
            self.environment["PYTHONMALLOC"] = "malloc"
            done = self.run_tool("--dump", path, "--", python, "-c", code)
            self.assertEqual((done.returncode, done.stdout), (0, "100\n"))
            text = subprocess.run([tool, "stat", "--json", path], stdout=subprocess.PIPE, check=True).stdout
            types = json.loads(text)["types"]
            self.assertGreater(sum(t["numallocs"] for t in types), 5000)
            self.assertGreater(sum(t["memalloced"] for t in types), 10000000)
            text = subprocess.run([tool, "zones", "--json", path], stdout=subprocess.PIPE, check=True).stdout
            zones = json.loads(text)["zones"]
            self.assertEqual(sum(z["req"] for z in zones), sum(t["numallocs"] for t in types))
            self.assertEqual(sum(z["used"] for z in zones), sum(t["inuse"] for t in types))


unittest.main(argv=sys.argv[:1])
