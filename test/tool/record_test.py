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

from harness import PATIENCE, check, equal, library, main, tool, wait_until

FOLDER = tempfile.TemporaryDirectory(prefix="malloc9-record-test-")

# Waits until its recording has begun, $RECORDING, so that the recording has all that follows.
BEGIN = """
import os, time
while not os.path.exists(os.environ["RECORDING"]):
    time.sleep(0.01)
"""

# Grows by 100 blocks of 1 MiB in about two seconds, keeps them for one, and ends with status 7.
GROWING = ["/usr/bin/python3", "-c", BEGIN + """
kept = []
for turn in range(100):
    kept.append(bytearray(1 << 20))
    time.sleep(0.02)
time.sleep(1)
os.kill(os.getpid(), 9) if os.environ.get("KILLED") else os._exit(7)
"""]

# Grows by a block with each line it is told, says so, and ends with status 7.
TOLD = ["/usr/bin/python3", "-c", """
import os, sys
kept = []
print("ready", flush=True)
while sys.stdin.readline():
    kept.append(bytearray(1 << 20))
    print(len(kept), flush=True)
os._exit(7)
"""]
MIB = 1 << 20


def path(name):
    return os.path.join(FOLDER.name, name)


def environment(**more):
    return {**os.environ, "MALLOC9_LIB": library(), "LC_ALL": "C.UTF-8", **more}


def record(out, *arguments, **more):
    """Records into the file of that name in FOLDER."""
    return subprocess.run([tool(), "record", "-o", path(out), *arguments], capture_output=True, text=True,
                          timeout=2 * PATIENCE, check=False, cwd=FOLDER.name, env=environment(RECORDING=path(out), **more))


def drawn(recording):
    """What the page of a recording holds, and what report said."""
    done = subprocess.run([tool(), "report", recording, "-o", "-", "--names", "dump"], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    equal(done.returncode, 0, f"report: {done.stderr}")
    return json.loads(re.search(r'id="data">(.*?)</script>', done.stdout, re.S).group(1)), done.stderr


def check_rate(growth, hz):
    """Samples come as often as was asked for, where the machine can: not always, when others have its processors."""
    times = growth["time"]
    gaps = sorted(later - time for time, later in zip(times, times[1:]))
    check(growth["samples"] >= 30, growth["samples"], "samples")
    check(gaps[len(gaps) // 10] < 1.5 / hz, f"{growth['samples']} samples at {hz} Hz, {gaps} s apart")


def check_growing(data, hz, blocks=100):
    """The page shows the growth: of all types, and of the one that grew."""
    growth = data["growth"]
    times, total = growth["time"], growth["total"]
    equal(times, sorted(times), "times")
    check_rate(growth, hz)
    high = max(total)
    check(blocks * MIB <= high < (blocks + 30) * MIB, f"at most {high} bytes")
    check(total[0] < 30 * MIB, f"{total[0]} bytes at first")
    biggest = max(growth["series"], key=lambda series: max(series[1::2], default=0))
    values = biggest[1::2]
    check(max(values) >= blocks * MIB, max(values))
    check(len(values) > 20, "the line has few steps:", values)


def test_program():
    done = record("grow.m9r", "--hz", "50", "--", *GROWING)
    equal(done.returncode, 7, f"the program's status; {done.stderr}")
    check("samples of" in done.stderr, done.stderr)
    data, _ = drawn(path("grow.m9r"))
    check_growing(data, 50)
    check(sum(data["types"]["requests"]) > 1000, "the library was not in use")
    small = os.path.getsize(path("grow.m9r"))
    check(small < 1 << 20, f"{small} bytes for {data['growth']['samples']} samples")


def test_json():
    """What --json says at the end is what is in the file."""
    done = record("json.m9r", "--hz", "50", "--json", "--", *GROWING)
    equal(done.returncode, 7, f"the program's status; {done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    growth = drawn(path("json.m9r"))[0]["growth"]
    equal([told[key] for key in ("file", "program", "hz", "samples", "marks", "bytes")],
          [path("json.m9r"), "python3", 50, growth["samples"], 0, os.path.getsize(path("json.m9r"))], "what is told")
    check(told["types"] > 50 and 1 < told["duration"] < 30, told)
    check(abs(told["duration"] - growth["time"][-1]) < 0.01, told["duration"], growth["time"][-1])
    done = record("none.m9r", "--json", "--", "/bin/sh", "-c", "kill -9 $$", MALLOC9_CONF="")
    equal([done.returncode, done.stdout.count("\n")], [128 + 9, 1], done.stderr)
    check(json.loads(done.stdout)["samples"] < 5, done.stdout)


def test_marks():
    """Marks that the program makes, and others of it, are in the recording; what was before that is not."""
    marking = BEGIN + "import ctypes\nmark = ctypes.CDLL(None).m9_mark\nprint(time.time())\nassert mark(b'first') == 0\n" \
              "print(time.time())\ntime.sleep(1)\nprint(time.time())\nassert mark(b'last') == 0\nprint(time.time())"
    done = record("marked.m9r", "--json", "--", "/usr/bin/python3", "-c", marking)
    equal(done.returncode, 0, done.stderr)
    *told, summary = done.stdout.splitlines()
    equal(json.loads(summary)["marks"], 2, "marks that are told")
    before_first, after_first, before_last, after_last = map(float, told)
    growth = drawn(path("marked.m9r"))[0]["growth"]
    equal([name for _, name in growth["marks"]], ["first", "last"], "marks")
    first, last = (time for time, _ in growth["marks"])
    check(before_last - after_first - 0.01 <= last - first <= after_last - before_first + 0.01, growth["marks"], told)
    check(last <= growth["time"][-1] + 0.1, growth["marks"], growth["time"][-1])


def test_killed():
    """What was counted outlives SIGKILL, and is the end of the recording."""
    done = record("killed.m9r", "--hz", "50", "--", *GROWING, KILLED="yes")
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

    wait_until(readable, PATIENCE, "the live file")
    return found()[0]


def test_process():
    """A process that runs already is recorded until ^C, at 100 Hz, and does not notice."""
    folder = path("live")
    os.mkdir(folder, 0o700)
    env = environment(LD_PRELOAD=library(), MALLOC9_CONF=f"stats:{folder}")
    process = subprocess.Popen(TOLD, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline(), "ready\n", "the process")
    target = live_file(folder, process)

    def mark(name):
        subprocess.run([tool(), "mark", target, name], check=True)

    def grow():
        for _ in range(50):
            process.stdin.write("more\n")
            process.stdin.flush()
            process.stdout.readline()
            time.sleep(0.02)

    mark("before")
    recorder = subprocess.Popen([tool(), "record", target, "-o", path("process.m9r"), "--hz", "100"],
                                stderr=subprocess.PIPE, text=True)
    wait_until(lambda: os.path.exists(path("process.m9r")), PATIENCE, "the recording to begin")
    grow()
    mark("half")
    grow()
    recorder.send_signal(signal.SIGINT)
    said = recorder.communicate(timeout=PATIENCE)[1]
    equal(recorder.returncode, 0, said)
    process.communicate(timeout=PATIENCE)
    equal(process.returncode, 7, "the process's own status")
    growth = drawn(path("process.m9r"))[0]["growth"]
    check_rate(growth, 100)
    equal([name for _, name in growth["marks"]], ["half"], "marks")
    half = growth["marks"][0][0]
    check(max(total for time, total in zip(growth["time"], growth["total"]) if time < half) < 80 * MIB, growth["marks"])
    check(all(total > 50 * MIB for time, total in zip(growth["time"], growth["total"]) if time > half + 0.01), growth["marks"])
    check(max(growth["total"]) >= 100 * MIB, max(growth["total"]), "bytes at most")
    # And until it ends, where nobody stops the recorder.
    process = subprocess.Popen(GROWING, env={**env, "RECORDING": path("ended.m9r")})
    done = record("ended.m9r", live_file(folder, process))
    equal(done.returncode, 0, done.stderr)
    process.wait(PATIENCE)
    check(max(drawn(path("ended.m9r"))[0]["growth"]["total"]) >= 100 * MIB, "the end is missing")


def test_cut_short():
    """A recorder that was killed leaves a recording; one that is damaged is refused in one line."""
    record("whole.m9r", "--hz", "50", "--", *GROWING)
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
                               env=environment(RECORDING=path("shown.m9r")), cwd=FOLDER.name)
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
        done = subprocess.run([tool(), "record", *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              check=False, cwd=FOLDER.name, env=environment())
        check(done.returncode != 0 and word in done.stderr, arguments, done.returncode, done.stderr)


if __name__ == "__main__":
    try:
        main(test_program, test_json, test_marks, test_killed, test_process, test_cut_short, test_progress, test_refused)
    finally:
        FOLDER.cleanup()
