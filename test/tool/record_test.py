#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""`malloc9 record` of programs that really run under the library, and what `malloc9 report` makes of it."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time

from harness import check, equal, library, main, tool, wait_until

FOLDER = tempfile.TemporaryDirectory(prefix="malloc9-record-test-")

# Grows by 100 blocks of 1 MiB in about two seconds, keeps them for one, and ends with status 7.
GROWING = ["/usr/bin/python3", "-c", """
import os, time
kept = []
for turn in range(100):
    kept.append(bytearray(1 << 20))
    time.sleep(0.02)
time.sleep(1)
os.kill(os.getpid(), 9) if os.environ.get("KILLED") else os._exit(7)
"""]
MIB = 1 << 20


def path(name):
    return os.path.join(FOLDER.name, name)


def environment(**more):
    return {**os.environ, "MALLOC9_LIB": library(), "LC_ALL": "C.UTF-8", **more}


def record(*arguments, **more):
    return subprocess.run([tool(), "record", *arguments], capture_output=True, text=True, timeout=60, check=False,
                          cwd=FOLDER.name, env=environment(**more))


def drawn(recording):
    """What the page of a recording holds, and what report said."""
    done = subprocess.run([tool(), "report", recording, "-o", "-", "--names", "dump"], capture_output=True, text=True,
                          timeout=60, check=False)
    equal(done.returncode, 0, f"report: {done.stderr}")
    return json.loads(re.search(r'id="data">(.*?)</script>', done.stdout, re.S).group(1)), done.stderr


def check_growing(data, hz, blocks=100):
    """The page shows the growth: of all types, and of the one that grew."""
    growth = data["growth"]
    times, total = growth["time"], growth["total"]
    equal(times, sorted(times), "times")
    check(growth["samples"] >= hz * 1.5, f"{growth['samples']} samples at {hz} Hz")
    high = max(total)
    check(blocks * MIB <= high < (blocks + 30) * MIB, f"at most {high} bytes")
    check(total[0] < 30 * MIB, f"{total[0]} bytes at first")
    biggest = max(growth["series"], key=lambda series: max(series[1::2], default=0))
    values = biggest[1::2]
    check(max(values) >= blocks * MIB, max(values))
    check(len(values) > 20, "the line has few steps:", values)


def test_program():
    done = record("-o", path("grow.m9r"), "--hz", "50", "--", *GROWING)
    equal(done.returncode, 7, f"the program's status; {done.stderr}")
    check("samples of" in done.stderr, done.stderr)
    data, _ = drawn(path("grow.m9r"))
    check_growing(data, 50)
    check(sum(data["types"]["requests"]) > 1000, "the library was not in use")
    small = os.path.getsize(path("grow.m9r"))
    check(small < 1 << 20, f"{small} bytes for {data['growth']['samples']} samples")


def test_json():
    """What --json says at the end is what is in the file."""
    done = record("-o", path("json.m9r"), "--hz", "50", "--json", "--", *GROWING)
    equal(done.returncode, 7, f"the program's status; {done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    growth = drawn(path("json.m9r"))[0]["growth"]
    equal([told[key] for key in ("file", "program", "hz", "samples", "marks", "bytes")],
          [path("json.m9r"), "python3", 50, growth["samples"], 0, os.path.getsize(path("json.m9r"))], "what is told")
    check(told["types"] > 50 and 1 < told["duration"] < 30, told)
    check(abs(told["duration"] - growth["time"][-1]) < 0.01, told["duration"], growth["time"][-1])
    done = record("--json", "-o", path("none.m9r"), "--", "/bin/sh", "-c", "kill -9 $$", MALLOC9_CONF="")
    equal([done.returncode, done.stdout.count("\n")], [128 + 9, 1], done.stderr)
    check(json.loads(done.stdout)["samples"] < 5, done.stdout)


def test_marks():
    """Marks that the program makes, and others of it, are in the recording; what was before that is not."""
    marking = "import ctypes, time\nmark = ctypes.CDLL(None).m9_mark\nassert mark(b'first') == 0\n" \
              "time.sleep(1)\nassert mark(b'last') == 0\ntime.sleep(0.2)"
    done = record("-o", path("marked.m9r"), "--json", "--", "/usr/bin/python3", "-c", marking)
    equal(done.returncode, 0, done.stderr)
    equal(json.loads(done.stdout)["marks"], 2, "marks that are told")
    growth = drawn(path("marked.m9r"))[0]["growth"]
    equal([name for _, name in growth["marks"]], ["first", "last"], "marks")
    first, last = (time for time, _ in growth["marks"])
    check(0.9 < last - first < 3 and last <= growth["time"][-1] + 0.1, growth["marks"], growth["time"][-1])


def test_killed():
    """What was counted outlives SIGKILL, and is the end of the recording."""
    done = record("-o", path("killed.m9r"), "--hz", "50", "--", *GROWING, KILLED="yes")
    equal(done.returncode, 128 + 9, f"the program's status; {done.stderr}")
    data, _ = drawn(path("killed.m9r"))
    check_growing(data, 50)
    check(sum(data["types"]["bytes"]) >= 100 * MIB, "what was live when it was killed")


def live_file(folder, process):
    """The live file of a process that was just started, once it can be read."""
    def found():
        names = [name for name in os.listdir(folder) if name.startswith(f"{process.pid}-") and name.endswith(".live")]
        return [os.path.join(folder, name) for name in names]

    def readable():
        return found() and subprocess.run([tool(), "stat", found()[0]], capture_output=True, check=False).returncode == 0

    wait_until(readable, 20, "the live file")
    return found()[0]


def test_process():
    """A process that runs already is recorded until ^C, at 100 Hz, and does not notice."""
    folder = path("live")
    os.mkdir(folder, 0o700)
    env = environment(LD_PRELOAD=library(), MALLOC9_CONF=f"stats:{folder}")
    process = subprocess.Popen(GROWING, env=env)
    target = live_file(folder, process)

    def mark(name):
        subprocess.run([tool(), "mark", target, name], check=True)

    mark("before")
    recorder = subprocess.Popen([tool(), "record", target, "-o", path("process.m9r"), "--hz", "100"],
                                stderr=subprocess.PIPE, text=True)
    time.sleep(1.2)
    mark("half")
    time.sleep(1.3)
    recorder.send_signal(signal.SIGINT)
    said = recorder.communicate(timeout=20)[1]
    equal(recorder.returncode, 0, said)
    equal(process.wait(20), 7, "the process's own status")
    data, _ = drawn(path("process.m9r"))
    check(data["growth"]["samples"] > 60, data["growth"]["samples"], "samples")
    equal([name for _, name in data["growth"]["marks"]], ["half"], "marks")
    check(0.3 < data["growth"]["marks"][0][0] < 2.3, data["growth"]["marks"])
    check(max(data["growth"]["total"]) > 50 * MIB, max(data["growth"]["total"]))
    # And until it ends, where nobody stops the recorder.
    process = subprocess.Popen(GROWING, env=env)
    done = record(live_file(folder, process), "-o", path("ended.m9r"))
    equal(done.returncode, 0, done.stderr)
    process.wait(20)
    check(max(drawn(path("ended.m9r"))[0]["growth"]["total"]) >= 100 * MIB, "the end is missing")


def test_cut_short():
    """A recorder that was killed leaves a recording; one that is damaged is refused in one line."""
    record("-o", path("whole.m9r"), "--hz", "50", "--", *GROWING)
    with open(path("whole.m9r"), "rb") as file:
        whole = file.read()
    with open(path("cut.m9r"), "wb") as file:
        file.write(whole[:len(whole) * 2 // 3])
    data, said = drawn(path("cut.m9r"))
    check("ends within a record" in said, said)
    check(0 < data["growth"]["samples"] and sum(data["types"]["requests"]) > 1000, data["growth"]["samples"])
    with open(path("wrong.m9r"), "wb") as file:
        file.write(whole[:8] + b"\xff" * 4 + whole[12:])
    done = subprocess.run([tool(), "report", path("wrong.m9r"), "-o", "-"], capture_output=True, text=True, check=False)
    equal((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)


def test_progress():
    """On a terminal one line says how far it is."""
    master, slave = pty.openpty()
    process = subprocess.Popen([tool(), "record", "-o", path("shown.m9r"), "--", *GROWING], stderr=slave,
                               env=environment(), cwd=FOLDER.name)
    os.close(slave)
    said = b""
    while process.poll() is None or select.select([master], [], [], 0.2)[0]:
        if select.select([master], [], [], 0.2)[0]:
            try:
                said += os.read(master, 65536)
            except OSError:
                break
    os.close(master)
    check(said.count(b"recording python3") >= 3 and b"\r\x1b[K" in said, said)


def test_refused():
    for arguments, word in ((["--hz", "0", "1"], "--hz"), (["--hz", "101", "1"], "--hz"), ([], "record what?"),
                            (["/no/such/file"], "/no/such/file"), (["-o", "/no/such/folder/x", "--", "true"], "/no/such"),
                            (["--", "/no/such/program"], "/no/such/program")):
        done = record(*arguments)
        check(done.returncode != 0 and word in done.stderr, arguments, done.returncode, done.stderr)


if __name__ == "__main__":
    try:
        main(test_program, test_json, test_marks, test_killed, test_process, test_cut_short, test_progress, test_refused)
    finally:
        FOLDER.cleanup()
