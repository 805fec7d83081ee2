# SPDX-License-Identifier: BSD-2-Clause
"""The page of `malloc9 report` in a headless Chromium, for the tests whose arguments are MALLOC9 MAKE_DUMP.

It is opened from disk. Every request that the browser makes is logged: there is one, for the page.
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

from harness import check, equal, find_program, main, run_preloaded, wait_until

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


PYTHON = ["/usr/bin/python3", "-c", "import json, sqlite3, email, decimal; x = [str(i) * 40 for i in range(3000)]"]


def python_dump():
    path = os.path.join(FOLDER.name, "python.m9")
    if not os.path.exists(path):
        run_preloaded(PYTHON, conf={"dump": path}, require=False)
    return path


def main_in_browser(*tests):
    try:
        main(*tests)
    finally:
        BROWSER.quit()
        FOLDER.cleanup()
