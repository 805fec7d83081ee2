#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""report_charts_test.py MALLOC9 MAKE_DUMP: growth, marks and chains of callers in the page of `malloc9 report`."""
import os
import subprocess

from selenium.webdriver.common.by import By

from browser import (BROWSER, FOLDER, PYTHON, TOOL, check_quiet, choose_measure, column, flame_is_still, js,
                     main_in_browser, open_page, python_dump, search, sort_by)
from harness import PATIENCE, check, equal, run_preloaded, wait_equal, wait_until


# Where its recording is named, a program waits for that to begin, so that nothing of what follows is missed.
BEGIN = """
import os, sys, time
while sys.argv[1:] and not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


def test_growth():
    """Of a recording the page draws lines: of all types, and of those that match a search."""
    recording = os.path.join(FOLDER.name, "grow.m9r")
    grow = "kept = []\nfor i in range(40):\n  kept.append(bytearray(1 << 20))\n  time.sleep(0.02)"
    done = subprocess.run([TOOL, "record", "-o", recording, "--hz", "50", "--", "/usr/bin/python3", "-c", BEGIN + grow,
                           recording], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stderr)
    open_page(recording)
    check(BROWSER.find_element(By.ID, "growth-section").is_displayed(), "no growth")
    check(max(js("return m9.data.growth.total")) >= 40 << 20, "the blocks are missing")
    # The line goes up, from the left below to the right above.
    heights = js("""const p = m9.growth.plot, k = p.data[1].indexOf(Math.max(...p.data[1]));
      return [p.valToPos(p.data[1][0], 'y'), p.valToPos(p.data[1][k], 'y')]""")
    check(heights[0] - heights[1] > 100, heights)
    labels = lambda: [label.text for label in BROWSER.find_elements(By.CSS_SELECTOR, "#growth .u-series")]
    check(len(labels()) > 3 and any("all types" in label for label in labels()), labels())
    search("no such type anywhere")
    wait_equal(lambda: len(labels()), 2, "lines")
    search("")
    sort_by("Growth")
    first = js("const most = Math.max(...m9.types.growth); return (most > 0 ? '+' : '') + m9.format.bytes(most)")
    wait_equal(lambda: column("Growth")[0], first, "the biggest growth")
    check_quiet()


MARKING = BEGIN + """
import ctypes
mark = ctypes.CDLL(None).m9_mark  # malloc9_mark() of malloc9.h
kept = []
for i in range(40):
    if i in (10, 30):
        assert mark(b"warm" if i == 10 else b"full") == 0
    kept.append(bytearray(1 << 20))
    time.sleep(0.02)
"""


def drawn_marks():
    """[name, place, place where its time is] of each mark, in pixels; and the width of it all."""
    return js("""const p = m9.growth.plot, lines = [...document.querySelectorAll("#growth .mark")];
      return [lines.map((line, k) => [line.textContent, line.offsetLeft, p.valToPos(m9.data.growth.marks[k][0], "x")]),
        p.over.clientWidth]""")


def check_marks(first):
    marks, width = drawn_marks()
    equal([name for name, _, _ in marks], ["warm", "full"], "marks")
    check(all(abs(place - want) < 2 for _, place, want in marks), marks)
    check(first <= marks[0][1] < marks[1][1] - 50 and marks[1][1] < width - 20, marks, width)
    check(all(label.is_displayed() for label in BROWSER.find_elements(By.CSS_SELECTOR, "#growth .mark span")), "labels")
    check("2 marks" in BROWSER.find_element(By.ID, "growth-about").text, "the heading")


def test_marks():
    """Marks are lines with names in the chart, of a recording and of a process that has them beside its file."""
    recording = os.path.join(FOLDER.name, "marks.m9r")
    done = subprocess.run([TOOL, "record", "-o", recording, "--hz", "50", "--", "/usr/bin/python3", "-c", MARKING,
                           recording], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stderr)
    open_page(recording)
    check_marks(20)
    # Where many are made at once, names stand one below the other, and none upon another.
    js("""m9.data.growth.marks = Array.from({length: 20}, (_, k) => [0.3 + k / 1000, `<b>mark ${k}`]);
      m9.growth.build();""")
    boxes = js("""return [...document.querySelectorAll("#growth .mark span")].filter(label => !label.hidden)
      .map(label => label.getBoundingClientRect()).map(box => [box.left, box.right, box.top, box.bottom])""")
    check(2 <= len(boxes) <= 6, len(boxes), "names")
    for a in boxes:
        equal([b for b in boxes if b is not a and a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]], [], "overlap")
    check_quiet()
    live = os.path.join(FOLDER.name, "live")
    os.mkdir(live, 0o700)
    run_preloaded(["/usr/bin/python3", "-c", MARKING], conf={"stats": live}, require=False)
    path = [os.path.join(live, name) for name in os.listdir(live) if name.endswith(".live")][0]
    open_page(path)
    check_marks(0)
    total = js("return m9.data.growth.total")
    equal(len(total), 3, "moments: two marks and the end")
    check(total[1] - total[0] >= 20 << 20, total)
    check_quiet()


def test_chains():
    """Where types are chains of callers, so is the flame graph: who called whom, as `stat --folded` has it."""
    dump = os.path.join(FOLDER.name, "chains.m9")
    run_preloaded(PYTHON, conf={"dump": dump, "stack": 6}, require=False)
    open_page(dump, "--names", "dump")
    folded = subprocess.run([TOOL, "stat", "--folded", "--names", "dump", dump], capture_output=True, text=True, check=True)
    want = {}
    for line in folded.stdout.splitlines():
        frames, requests = line.rsplit(" ", 1)
        callers = ";".join(frames.split(";")[:-1])
        want[callers] = want.get(callers, 0) + int(requests)
    check(max(callers.count(";") for callers in want) >= 3 and len(want) > 100, "there are no chains")
    got = {}
    for callers, requests in js("return Array.from({length: m9.count}, (_, i) => "
                                "[m9.callers(i).map(([name]) => name).join(';'), m9.types.requests[i]])"):
        got[callers] = got.get(callers, 0) + requests
    equal(got, want, "callers and their requests")
    choose_measure("Requests")
    wait_until(flame_is_still, PATIENCE, "the flame graph to be drawn")
    equal(js("return m9.tree(i => m9.flame.path(i)).value"), sum(want.values()), "all requests")
    # The frames that stand on top are the outermost callers, and below each is whom it called.
    top, below = js("""const at = depth => [...document.querySelectorAll("#flame g")].filter(g => g.__data__.depth === depth)
      .map(g => g.getAttribute("name")); return [at(1), at(2)]""")
    outermost = {callers.split(";")[0] for callers in want}
    second = {callers.split(";")[1] for callers in want if ";" in callers}
    check(len(top) >= 2 and outermost >= {name for name in top if "+0x" in name and "!" not in name}, top)
    check(set(below) & second, below)
    check("who called whom" in BROWSER.find_element(By.ID, "flame-about").text, "the heading")
    check_quiet()
    open_page(python_dump())
    check(BROWSER.find_element(By.ID, "flame-about").text.startswith("module"), "the heading without chains")


if __name__ == "__main__":
    main_in_browser(test_growth, test_marks, test_chains)
