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
from selenium.common import exceptions
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import PATIENCE, equal, find_program, main, run_preloaded, wait_until

TOOL, MAKE_DUMP = (os.path.abspath(argument) for argument in sys.argv[1:3])
del sys.argv[1:3]
# A browser that was told to end may still write into its profile while the folder is removed.
FOLDER = tempfile.TemporaryDirectory(prefix="malloc9-report-", ignore_cleanup_errors=True)
STARTS = 3


def started_browser(profile):
    options = Options()
    options.binary_location = find_program("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1440,1700", f"--user-data-dir={FOLDER.name}/{profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    os.environ.setdefault("HOME", FOLDER.name)
    return webdriver.Chrome(service=Service(find_program("chromedriver")), options=options)


def start_browser():
    """The driver gives a browser a time of its own to start; a busy machine gets it again, with a new profile."""
    for attempt in range(1, STARTS + 1):
        try:
            browser = started_browser(f"profile{attempt}")
            browser.set_script_timeout(2 * PATIENCE)
            browser.get("about:blank")  # in place of the browser's own first page, which may still ask for its parts
            return browser
        except exceptions.WebDriverException as error:
            if attempt == STARTS:
                raise
            print(f"the browser did not start: {error}", flush=True)


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
    wait_until(lambda: js("return document.body.dataset.ready") == "yes", PATIENCE, "the table to be built")
    taken = time.monotonic() - start
    js("const search = m9.search; m9.search = text => { search(text); m9.searched = text; }")
    return taken


def check_quiet():
    """The page asked for itself and for nothing else, and the browser has nothing to say against it."""
    events = [json.loads(entry["message"])["message"] for entry in BROWSER.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # What a page of the browser's own asks for may be told late.
    urls = [request["request"]["url"] for request in requests if not request["documentURL"].startswith("chrome://")]
    equal(urls, [BROWSER.current_url], "requests")
    equal(BROWSER.get_log("browser"), [], "the browser's log")


FIELDS = {"Type": "name", "Module": "module", "Requests": "requests", "Growth": "growth"}


def column(title):
    """The texts of one column's cells, as far as there are rows in sight."""
    return js("return [...document.querySelectorAll(arguments[0])].map(cell => cell.innerText.trim())",
              f"#table .tabulator-cell[tabulator-field={FIELDS[title]}]")


MOVING = (exceptions.ElementClickInterceptedException, exceptions.ElementNotInteractableException,
          exceptions.NoSuchElementException, exceptions.StaleElementReferenceException)


def clicked(by, selector, at=0):
    """Whether that element could be clicked: it may be drawn anew, or scroll away, between the look and the click."""
    try:
        BROWSER.find_elements(by, selector)[at].click()
        return True
    except (IndexError, *MOVING):
        return False


def click(by, selector):
    """Clicks once."""
    wait_until(lambda: clicked(by, selector), PATIENCE, f"{selector} to be clicked")


def click_until(done, by, selector, at=0):
    """Clicks until `done()`, for a click whose element is drawn anew under it is nobody's."""
    wait_until(lambda: clicked(by, selector, at) and done(), PATIENCE, f"a click at {selector} to do something")


def choose_measure(title):
    click_until(lambda: js("return m9.metric") == title.lower(), By.XPATH, f"//*[@id='metric']//button[text()='{title}']")


def flame_is_still():
    """Whether nothing moves in the flame graph: d3 keeps what is under way at its element."""
    return js("return ![...document.querySelectorAll('#flame *')].some(element => element.__transition)")


def click_shape(selector):
    """A click on an SVG element, which another may cover in its middle."""
    js("document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('click', {bubbles: true}))", selector)


def sort_by(title):
    click(By.XPATH, f"//*[@id='table']//*[contains(@class, 'tabulator-col-title') and text()='{title}']")


def search(text):
    """Types it, and waits until the page has searched for it, which it does a little later."""
    box = BROWSER.find_element(By.ID, "search")
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.DELETE)
    box.send_keys(text)
    wait_until(lambda: js("return m9.searched") == text, PATIENCE, lambda: f"{text!r}: searched {js('return m9.searched')!r}")


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
