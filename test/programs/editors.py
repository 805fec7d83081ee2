# SPDX-License-Identifier: BSD-2-Clause
"""vim in batch mode, gdb on a small program with threads, tmux with panes."""
import functools
import re

from cases import WORKLOADS, case


@case("vim")
def vim(s):
    lines = [f"{n * 7919 % 1009} {'aeioubcdfg'[n % 10] * (n % 30 + 1)} text {n}" for n in range(1, 1500 * s.scale)]
    outputs = []
    for run in (s.run_plain, s.run):
        s.write("in.txt", "\n".join(lines) + "\n")
        run([s.program("vim"), "-es", "-N", "-u", "NONE", "-i", "NONE", "-n", "-S", WORKLOADS / "edit.vim", "in.txt"],
            timeout=240, **({} if run == s.run_plain else {"allocs": 50000}))
        outputs.append((s.tmp / "out.txt").read_bytes())
        (s.tmp / "out.txt").unlink()
    s.equal(outputs[1], outputs[0], "the text that vim wrote")
    s.check(len(outputs[1].splitlines()) > 1000 and f"lines {len(lines)}".encode() in outputs[1],
            "vim's text is not what the script makes")


@case("gdb")
def gdb(s):
    program = s.tmp / "debuggee"
    s.run_plain([s.program("gcc"), "-g", "-O0", "-fno-inline", "-pthread", WORKLOADS / "debuggee.c", "-o", program])
    commands = ["set debuginfod enabled off", "set width 0", "set print address off", "break leaf if wanted == 10",
                "run", "bt", "info args", "print *head", "print *head->next", "finish", "info threads",
                "thread apply all bt -frame-arguments none 3", "break free", "continue", "delete", "continue"]
    argv = [s.program("gdb"), "-nx", "-q", "-batch", *[word for c in commands for word in ("-ex", c)], program]

    def told(result):
        lines = re.sub(r"process \d+", "process", result.stdout.decode()).splitlines()
        return [line for line in lines if re.match(r"#\d+ .*(leaf|middle|main|thread_main)", line)
                or re.match(r"(head|wanted|\$\d+|Value returned is|sum|\[Inferior)", line)]

    plain = s.run_plain(argv)
    got = s.run(argv, allocs=20000)
    want = told(plain)
    s.equal(told(got), want, "gdb's answers")
    for line in ("wanted = 10", "sum 3", "[Inferior 1 (process) exited normally]"):
        s.check(line in want, f"{line!r} is missing: {want}")
    s.check(any(re.match(r"#1 .*middle \(id=1\) at .*debuggee.c:\d+", line) for line in want),
            f"the backtrace is not there: {want}")
    s.check(any("{next = " in line and "value = 49" in line for line in want), f"the list's head is not there: {want}")
    s.check(b"Breakpoint 2" in got.stdout, "free has no breakpoint")
    s.used_by("debuggee", allocs=150)


def tmux_command(s, run, *words):
    return run([s.program("tmux"), "-L", "m9", "-f", "/dev/null", *words], env={"TMUX_TMPDIR": str(s.tmp)})


def pane(number):
    return f"exec sh {WORKLOADS}/pane.sh {number}"


@case("tmux")
def tmux(s):
    screens = []
    for run in (s.run_plain, s.run):
        ask = functools.partial(tmux_command, s, run)
        ask("new-session", "-d", "-s", "one", "-x", "90", "-y", "30", pane(1))
        server = int(ask("display-message", "-p", "#{pid}").stdout)
        ask("wait-for", "ready1")
        ask("set-option", "-g", "history-limit", "5000")
        ask("split-window", "-t", "one", "-h", pane(2))
        ask("wait-for", "ready2")
        ask("new-window", "-t", "one", pane(3))
        ask("wait-for", "ready3")
        ask("resize-window", "-t", "one", "-x", "60", "-y", "20")
        ask("resize-window", "-t", "one", "-x", "120", "-y", "40")
        ask("send-keys", "-t", "one:1", "typed text", "Enter")
        while b"typed text\ntyped text" not in ask("capture-pane", "-t", "one:1", "-p").stdout:
            pass
        screen = ask("capture-pane", "-t", "one:1", "-p", "-e").stdout
        history = ask("capture-pane", "-t", "one:1", "-p", "-S", "-").stdout
        layout = ask("list-panes", "-s", "-t", "one", "-F",
                     "#{window_index} #{pane_index} #{pane_width} #{pane_height} #{history_size}").stdout
        for n in range(10 * s.scale):
            ask("set-buffer", "-b", f"b{n}", "x" * (n * 100))
        buffers = ask("list-buffers", "-F", "#{buffer_name} #{buffer_size}").stdout
        ask("kill-server")
        s.wait_gone(server, "the server")
        screens.append((screen, history, layout, buffers))
    s.equal(screens[1], screens[0], "the screens")
    s.check(b"red" in screens[1][0] and b"typed text" in screens[1][0] and b"line 2999" in screens[1][1],
            f"the screen is wrong: {screens[1][0]!r}")
    if not s.plain:
        s.used_by("tmux", processes=10, allocs=50)
        stats = [d for d in s.evidence.dumps() if d["pid"] == server]
        s.check(len(stats) == 1 and stats[0]["allocs"] > 5000, f"the server's dump: {stats and stats[0]['allocs']}")
