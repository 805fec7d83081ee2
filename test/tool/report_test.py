#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""report_test.py MALLOC9 MAKE_DUMP: the page of `malloc9 report` in a headless Chromium.

It is opened from disk, and what it shows is compared with `malloc9 stat --json` of the same file. Every request that
the browser makes is logged: there is one, for the page.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import check, equal, find_program, main, read_stats, run_preloaded, wait_until

TOOL, MAKE_DUMP = (os.path.abspath(argument) for argument in sys.argv[1:3])
del sys.argv[1:3]
FOLDER = tempfile.TemporaryDirectory(prefix="malloc9-report-")


def start_browser():
    options = Options()
    options.binary_location = find_program("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1440,1700", f"--user-data-dir={FOLDER.name}/profile"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    os.environ.setdefault("HOME", FOLDER.name)
    return webdriver.Chrome(service=Service(find_program("chromedriver")), options=options)


BROWSER = start_browser()


def js(script, *arguments):
    return BROWSER.execute_script(script, *arguments)


def made_dump(case):
    path = os.path.join(FOLDER.name, case + ".m9")
    with open(path, "wb") as file:
        subprocess.run([MAKE_DUMP, case], stdout=file, check=True)
    return path


def open_page(dump, *options):
    """Makes the page of `dump` and opens it; seconds until it was ready."""
    page = os.path.splitext(dump)[0] + ".html"
    done = subprocess.run([TOOL, "report", dump, "-o", page, *options], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, f"report {dump}: {done.stderr}")
    BROWSER.get_log("performance")
    BROWSER.get_log("browser")
    start = time.monotonic()
    BROWSER.get(pathlib.Path(page).as_uri())
    wait_until(lambda: js("return document.body.dataset.ready") == "yes", 60, "the table to be built")
    return time.monotonic() - start


def check_quiet():
    """The page asked for itself and for nothing else, and the browser has nothing to say against it."""
    events = [json.loads(entry["message"])["message"] for entry in BROWSER.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    equal(urls, [BROWSER.current_url], "requests")
    equal(BROWSER.get_log("browser"), [], "the browser's log")


def rows():
    return [row.text.split("\n") for row in BROWSER.find_elements(By.CSS_SELECTOR, "#table .tabulator-row")]


FIELDS = {"Type": "name", "Module": "module", "Requests": "requests", "Growth": "growth"}


def column(title):
    """The texts of one column's cells, as far as there are rows in sight."""
    cells = BROWSER.find_elements(By.CSS_SELECTOR, f"#table .tabulator-cell[tabulator-field={FIELDS[title]}]")
    return [cell.text for cell in cells]


def click_shape(selector):
    """A click on an SVG element, which another may cover in its middle."""
    js("document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('click', {bubbles: true}))", selector)


def sort_by(title):
    for cell in BROWSER.find_elements(By.CSS_SELECTOR, "#table .tabulator-col-title"):
        if cell.text == title:
            cell.click()
            return
    check(False, "no column", title)


def search(text):
    box = BROWSER.find_element(By.ID, "search")
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.DELETE)
    box.send_keys(text)
    time.sleep(0.6)


def found():
    return BROWSER.find_element(By.ID, "found").text


def live_types(stats):
    return [entry for entry in stats["types"] if entry["memuse"] > 0]


PYTHON = ["/usr/bin/python3", "-c", "import json, sqlite3, email, decimal; x = [str(i) * 40 for i in range(3000)]"]


def python_dump():
    path = os.path.join(FOLDER.name, "python.m9")
    if not os.path.exists(path):
        run_preloaded(PYTHON, conf={"dump": path}, require=False)
    return path


def test_figures():
    """What the page shows is what `stat` says, from a program that really ran under the library."""
    dump = python_dump()
    stats = read_stats(dump)
    check(sum(entry["numallocs"] for entry in stats["types"]) > 1000, "the library was not in use")
    open_page(dump)
    equal(js("return m9.count"), len(stats["types"]), "types")
    for key, name in (("memuse", "bytes"), ("inuse", "live"), ("numallocs", "requests"), ("numfrees", "frees")):
        equal(js("return m9.sum(arguments[0])", name), sum(entry[key] for entry in stats["types"]), key)
    equal(js("return m9.treemap.root.value"), sum(entry["memuse"] for entry in stats["types"]), "treemap's bytes")
    check(f"{len(stats['types']):,}" in found(), found())
    check_quiet()


def test_sort():
    stats = read_stats(python_dump())
    open_page(python_dump())
    most = sorted((entry["numallocs"] for entry in stats["types"]), reverse=True)
    sort_by("Requests")
    shown = [int(text.replace(",", "")) for text in column("Requests")]
    equal(shown, most[:len(shown)], "most requests first")
    sort_by("Requests")
    shown = [int(text.replace(",", "")) for text in column("Requests")]
    equal(shown, most[::-1][:len(shown)], "fewest requests first")
    sort_by("Type")
    check(len(column("Type")) > 5 and column("Type") == sorted(column("Type")), "types by name:", column("Type"))


def test_search():
    open_page(python_dump(), "--names", "dump")
    stats = read_stats(python_dump())
    word = "libc.so"
    want = [entry for entry in stats["types"] if word in entry["type"].lower()]
    check(0 < len(want) < len(stats["types"]), "the search tells types apart")
    search(word)
    check(found().startswith(f"{len(want)} of {len(stats['types'])},"), found(), len(want))
    check(all(word in text for text in column("Module")), column("Module"))
    check(js("return document.querySelectorAll('#treemap g.faded').length") > 0, "nothing is faded")
    time.sleep(0.5)
    check(js("return [...document.querySelectorAll('#flame rect')].some(r => r.getAttribute('fill') === 'var(--match)')"),
          "nothing is marked in the flame graph")
    search("no such type anywhere")
    equal(rows(), [], "rows")
    search("")
    check(found().startswith(f"{len(stats['types'])},"), found())


def test_zoom():
    open_page(python_dump())
    path = lambda: [button.text for button in BROWSER.find_elements(By.CSS_SELECTOR, "#path button")]
    equal(path(), ["all"], "the path")
    tiles = lambda: js("return document.querySelectorAll('#treemap rect').length")
    before = tiles()
    click_shape("#treemap rect.group")
    check(len(path()) >= 2 and tiles() > 0, path(), before, tiles())
    BROWSER.find_element(By.CSS_SELECTOR, "#path button").click()
    equal((path(), tiles()), (["all"], before), "back at the start")
    time.sleep(0.8)
    width = "return Number(document.querySelector('#flame g[name=\"'+arguments[0]+'\"] rect').getAttribute('width'))"
    narrow = js(width, "libc.so.6")
    click_shape('#flame g[name="libc.so.6"]')
    time.sleep(0.8)
    check(js(width, "libc.so.6") > narrow, "the flame graph does not zoom")
    BROWSER.find_element(By.ID, "flame-reset").click()
    time.sleep(0.8)
    check(abs(js(width, "libc.so.6") - narrow) < 1, "the flame graph does not come back")


def test_details_and_measures():
    stats = read_stats(python_dump())
    open_page(python_dump(), "--names", "dump")
    biggest = max(stats["types"], key=lambda entry: entry["memuse"])

    def opened():
        BROWSER.find_element(By.CSS_SELECTOR, "#table .tabulator-row").click()
        return BROWSER.find_element(By.ID, "details").is_displayed()

    wait_until(opened, 10, "the details of a row that was clicked")  # a row may be drawn anew under the first click
    details = BROWSER.find_element(By.ID, "details").text
    check(f"{biggest['memuse']:,} bytes" in details, details)
    for button in BROWSER.find_elements(By.CSS_SELECTOR, "#metric button"):
        if button.text == "Requests":
            button.click()
    equal(js("return m9.treemap.root.value"), sum(entry["numallocs"] for entry in stats["types"]), "treemap's requests")
    check_quiet()


def test_hostile_names():
    """Names are shown, letter by letter, and do nothing."""
    dump = made_dump("hostile")
    stats = read_stats(dump)
    open_page(dump, "--names", "dump")
    equal(js("return m9.count"), 7, "types")
    # A browser collapses spaces and drops what cannot be seen; the words are compared as the page holds them.
    shown = js("return Array.from({length: m9.count}, (_, i) => m9.word('name', i))")
    equal(sorted(shown), sorted(entry["type"] for entry in stats["types"]), "names")
    check("</script><script>document.title='owned'</script>" in column("Type"), column("Type"))
    equal(js("return document.getElementById('program').textContent"), "</title><script>document.title='owned'</script>",
          "program")
    for row in BROWSER.find_elements(By.CSS_SELECTOR, "#table .tabulator-row"):
        row.click()
    click_shape("#treemap rect")
    search("<img src")
    equal(js("return document.querySelectorAll('img, iframe, svg svg, #table script, #details script').length"), 0, "made elements")
    check(not js("return document.title").startswith("owned"), "a name ran as a script")
    check_quiet()


def test_policy():
    """A script that got into the page all the same would not run, and could ask nobody."""
    open_page(python_dump())
    js("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    js("const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x'; document.body.append(i)")
    time.sleep(0.3)
    equal(js("return window.ran"), None, "an added script")
    blocked = [entry["message"] for entry in BROWSER.get_log("browser")]
    check(len(blocked) >= 2 and all("Content Security Policy" in text for text in blocked), blocked)


def contrast():
    """Of text and background, as WCAG 2 defines it."""
    return js("""
      const luminance = colour => {
        const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(n => n / 255)
          .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const style = (where, what) => luminance(getComputedStyle(document.querySelector(where))[what]);
      const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      return [style("body", "backgroundColor"), ratio(style("#table .tabulator-row", "color"), style("#table .tabulator-row", "backgroundColor")),
        ratio(style("#treemap text", "fill"), style("#treemap rect.tile", "fill"))];""")


def test_light_and_dark():
    open_page(python_dump())
    for scheme, is_dark in (("light", False), ("dark", True)):
        BROWSER.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        background, table, tile = contrast()
        equal(background < 0.1, is_dark, f"{scheme}: dark page")
        check(table >= 7 and tile >= 4.5, f"{scheme}: contrast of the table {table:.1f}, of tiles {tile:.1f}")


def test_many_types():
    """60,000 types: the page opens, sorts and searches without a wait that a person minds."""
    dump = made_dump("big")
    opened = open_page(dump)
    equal(js("return m9.count"), 60000, "types")
    check(js("return document.querySelectorAll('*').length") < 20000, "as many elements as types")
    start = time.monotonic()
    sort_by("Requests")
    equal(column("Requests")[0], "60,001", "most requests")
    sorted_in = time.monotonic() - start
    start = time.monotonic()
    search("function_5999")
    check(found().startswith("11 of 60,000"), found())
    searched_in = time.monotonic() - start - 0.6
    print(f"60,000 types: open {opened:.1f} s, sort {sorted_in:.1f} s, search {searched_in:.1f} s")
    check(opened < 20 and sorted_in < 10 and searched_in < 10, "slow")
    check_quiet()


def test_growth():
    """Of a recording the page draws lines: of all types, and of those that match a search."""
    recording = os.path.join(FOLDER.name, "grow.m9r")
    grow = "import time\nkept = []\nfor i in range(40):\n  kept.append(bytearray(1 << 20))\n  time.sleep(0.02)"
    done = subprocess.run([TOOL, "record", "-o", recording, "--hz", "50", "--", "/usr/bin/python3", "-c", grow],
                          capture_output=True, text=True, check=False)
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
    equal(len(labels()), 2, "lines")
    search("")
    sort_by("Growth")
    check(column("Growth")[0].startswith("+") or column("Growth")[0] == "0 B", column("Growth"))
    check_quiet()


def test_command():
    """Where the page goes, and what is refused."""
    def run(*arguments):
        return subprocess.run([TOOL, "report", *arguments], capture_output=True, text=True, cwd=FOLDER.name, check=False)

    dump = python_dump()
    done = run("-o", "-", dump)
    check(done.returncode == 0 and done.stdout.startswith("<!DOCTYPE html>"), done.stderr)
    other = os.path.join(FOLDER.name, "default")
    os.mkdir(other)
    done = subprocess.run([TOOL, "report", dump], capture_output=True, text=True, cwd=other, check=False)
    equal((done.returncode, os.listdir(other)), (0, ["python.html"]), done.stderr)
    equal(run(dump, "-o", "no/such/folder/x.html").returncode, 2, "a folder that is not there")
    done = run("/bin/true", "-o", "true.html")
    equal(done.returncode, 2, "no statistics")
    check(not any(name.startswith("true.html") for name in os.listdir(FOLDER.name)), os.listdir(FOLDER.name))


if __name__ == "__main__":
    try:
        main(test_figures, test_sort, test_search, test_zoom, test_details_and_measures, test_hostile_names, test_policy,
             test_light_and_dark, test_many_types, test_growth, test_command)
    finally:
        BROWSER.quit()
        FOLDER.cleanup()
