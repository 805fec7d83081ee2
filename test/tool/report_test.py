#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""report_test.py MALLOC9 MAKE_DUMP: the page of `malloc9 report` in a headless Chromium shows what `malloc9 stat --json`
of the same file says, and asks for nothing."""
import json
import os
import subprocess
import time

from selenium.webdriver.common.by import By

from browser import (BROWSER, FOLDER, TOOL, check_quiet, choose_measure, click, click_shape, click_until, column,
                     flame_is_still, found, js, made_dump, main_in_browser, open_page, python_dump, search, sort_by)
from harness import PATIENCE, check, equal, read_stats, wait_equal, wait_until


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


def wait_begins(title, want, what):
    """Waits until the rows in sight show the beginning of `want` in that column."""
    shown = lambda: column(title)
    wait_until(lambda: shown() and shown() == want[:len(shown())], PATIENCE, lambda: f"{what}: {shown()}")


def test_sort():
    stats = read_stats(python_dump())
    open_page(python_dump())
    most = [f"{n:,}" for n in sorted((entry["numallocs"] for entry in stats["types"]), reverse=True)]
    sort_by("Requests")
    wait_begins("Requests", most, "most requests first")
    sort_by("Requests")
    wait_begins("Requests", most[::-1], "fewest requests first")
    sort_by("Type")
    shown = lambda: column("Type")
    wait_until(lambda: len(shown()) > 5 and shown() == sorted(shown()), PATIENCE, lambda: f"types by name: {shown()}")


def test_search():
    open_page(python_dump(), "--names", "dump")
    stats = read_stats(python_dump())
    word = "libc.so"
    want = [entry for entry in stats["types"] if word in entry["type"].lower()]
    check(0 < len(want) < len(stats["types"]), "the search tells types apart")
    search(word)
    check(found().startswith(f"{len(want)} of {len(stats['types'])},"), found(), len(want))
    wait_until(lambda: all(word in text for text in column("Module")), PATIENCE, lambda: f"{word} alone: {column('Module')}")
    check(js("return document.querySelectorAll('#treemap g.faded').length") > 0, "nothing is faded")
    marked = "return [...document.querySelectorAll('#flame rect')].some(r => r.getAttribute('fill') === 'var(--match)')"
    wait_until(lambda: js(marked), PATIENCE, "what is marked in the flame graph")
    search("no such type anywhere")
    wait_equal(lambda: column("Type"), [], "rows")
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
    click(By.CSS_SELECTOR, "#path button")
    wait_equal(lambda: (path(), tiles()), (["all"], before), "back at the start")
    wait_until(flame_is_still, PATIENCE, "the flame graph to be drawn")
    width = "return Number(document.querySelector('#flame g[name=\"'+arguments[0]+'\"] rect').getAttribute('width'))"
    narrow = js(width, "libc.so.6")
    click_shape('#flame g[name="libc.so.6"]')
    wait_until(flame_is_still, PATIENCE, "the flame graph to zoom")
    check(js(width, "libc.so.6") > narrow + 1, "the flame graph does not zoom")
    click(By.ID, "flame-reset")
    wait_until(lambda: abs(js(width, "libc.so.6") - narrow) < 1, PATIENCE, "the flame graph to come back")


def test_details_and_measures():
    stats = read_stats(python_dump())
    open_page(python_dump(), "--names", "dump")
    biggest = max(stats["types"], key=lambda entry: entry["memuse"])
    click_until(BROWSER.find_element(By.ID, "details").is_displayed, By.CSS_SELECTOR, "#table .tabulator-row")
    details = BROWSER.find_element(By.ID, "details").text
    check(f"{biggest['memuse']:,} bytes" in details, details)
    choose_measure("Requests")
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
    row = "#table .tabulator-row"
    is_chosen = "return document.querySelectorAll(arguments[0])[arguments[1]].classList.contains('chosen')"
    for at in range(len(column("Type"))):
        click_until(lambda: js(is_chosen, row, at), By.CSS_SELECTOR, row, at)
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
    blocked = []

    def both_are_blocked():
        blocked.extend(entry["message"] for entry in BROWSER.get_log("browser"))  # what was not told yet
        return len(blocked) >= 2

    wait_until(both_are_blocked, PATIENCE, lambda: f"two that are blocked: {blocked}")
    check(all("Content Security Policy" in text for text in blocked), blocked)
    equal(js("return window.ran"), None, "an added script")


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
        wait_equal(lambda: contrast()[0] < 0.1, is_dark, f"{scheme}: dark page")
        _, table, tile = contrast()
        check(table >= 7 and tile >= 4.5, f"{scheme}: contrast of the table {table:.1f}, of tiles {tile:.1f}")


def test_many_types():
    """60,000 types: the page opens, sorts and searches without a wait that a person minds, on a machine that opens a small
    page in less than a second; a slower or busier one may take longer by as many times."""
    dump = made_dump("big")
    small = open_page(python_dump())
    opened = open_page(dump)
    equal(js("return m9.count"), 60000, "types")
    check(js("return document.querySelectorAll('*').length") < 20000, "as many elements as types")
    start = time.monotonic()
    sort_by("Requests")
    wait_equal(lambda: column("Requests")[0], "60,001", "most requests")
    sorted_in = time.monotonic() - start
    start = time.monotonic()
    search("function_5999")
    check(found().startswith("11 of 60,000"), found())
    searched_in = time.monotonic() - start
    check_quiet()
    small = max(small, open_page(python_dump()))
    what = f"60,000 types: open {opened:.1f} s, sort {sorted_in:.1f} s, search {searched_in:.1f} s; few: open {small:.1f} s"
    print(what)
    by = max(1, small)
    check(opened < 20 * by and sorted_in < 10 * by and searched_in < 10 * by, what)


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
    told = json.loads(run(dump, "-o", "told.html", "--json").stdout)
    equal([told["file"], told["types"], told["samples"]], ["told.html", len(read_stats(dump)["types"]), 0], "what is told")
    equal(run(dump, "-o", "-", "--json").returncode, 2, "two things for standard output")
    equal(run(dump, "-o", "no/such/folder/x.html").returncode, 2, "a folder that is not there")
    done = run("/bin/true", "-o", "true.html")
    equal(done.returncode, 2, "no statistics")
    check(not any(name.startswith("true.html") for name in os.listdir(FOLDER.name)), os.listdir(FOLDER.name))


if __name__ == "__main__":
    main_in_browser(test_figures, test_sort, test_search, test_zoom, test_details_and_measures, test_hostile_names,
                    test_policy, test_light_and_dark, test_many_types, test_command)
