#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""listen_test.py HOLDER.C: malloc9 export --listen, scraped by a real Prometheus server and read by go tool pprof."""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import harness
from harness import check, equal

SOURCE = sys.argv.pop(1)
ITEM = 112  # what 100 bytes occupy


def fetch(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def malloc9(*arguments, **more):
    return subprocess.Popen([harness.tool(), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@contextlib.contextmanager
def ended(process):
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def holder(program, folder, items):
    """A program that holds so many items until its standard input ends."""
    process = subprocess.Popen([program, str(items)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=harness.preload_env("rseq", {"stats": folder}))
    with ended(process):
        equal(process.stdout.readline(), "holding\n", "the program")
        yield process


@contextlib.contextmanager
def listening(folder, *more):
    """The address at which a server tells of the processes in `folder`."""
    with ended(malloc9("export", "--listen", "127.0.0.1:0", "--dir", folder, *more)) as server:
        line = server.stderr.readline()
        found = re.fullmatch(r"malloc9: listening on (127\.0\.0\.1:\d+)\n", line)
        check(found, f"{line!r}")
        yield found.group(1)


@contextlib.contextmanager
def built():
    with tempfile.TemporaryDirectory(prefix="malloc9-listen-") as folder:
        os.mkdir(os.path.join(folder, "live"), 0o700)
        program = os.path.join(folder, "holder")
        subprocess.run(["cc", "-O1", "-g", "-rdynamic", SOURCE, "-o", program], check=True)
        yield folder, os.path.join(folder, "live"), program


def prometheus():
    with built() as (folder, live, program), holder(program, live, 7) as first, holder(program, live, 40) as second, \
            listening(live, "--by", "function") as address:
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("global: {scrape_interval: 1s}\n"
                       f"scrape_configs: [{{job_name: malloc9, static_configs: [{{targets: ['{address}']}}]}}]\n")
        port = harness.free_port()
        server = subprocess.Popen([harness.find_program("prometheus"), f"--config.file={config}",
                                   f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def query(text):
            answer = fetch(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(text)}")
            return {result["metric"].get("pid"): float(result["value"][1]) for result in json.loads(answer)["data"]["result"]}

        def ready():  # it listens before it can answer
            try:
                return harness.listening(port) and fetch(f"http://127.0.0.1:{port}/-/ready")
            except urllib.error.HTTPError:
                return False

        with ended(server):
            harness.wait_until(ready, 60, "prometheus")
            items = 'malloc9_live_items{function="holder!hold"}'
            want = {str(first.pid): 7.0, str(second.pid): 40.0}
            harness.wait_until(lambda: query(items) == want, 60, f"the items in prometheus: {query(items)}")
            equal(query('malloc9_live_bytes{function="holder!hold"}'), {pid: n * ITEM for pid, n in want.items()}, "bytes")
            equal(query("sum by (pid) (malloc9_info)"), {pid: 1.0 for pid in want}, "processes")
            equal(list(query('up{job="malloc9"}').values()), [1.0], "up")
            second.communicate("")  # it ends
            harness.wait_until(lambda: query(items) == {str(first.pid): 7.0}, 60, "the end of a process in prometheus")


def profiles():
    with built() as (_, live, program), holder(program, live, 7) as first, holder(program, live, 40) as second, \
            listening(live) as address:
        def held(where):
            done = subprocess.run([harness.find_program("go"), "tool", "pprof", "-top", "-sample_index=inuse_objects",
                                   "-nodefraction=0", f"http://{address}{where}"], capture_output=True, text=True, timeout=60,
                                  check=False, env={**os.environ, "PPROF_TMPDIR": live + "/.."})
            equal(done.returncode, 0, f"go tool pprof {where}: {done.stderr}")
            return [row.split()[0] for row in done.stdout.splitlines() if row.endswith(" hold")]

        equal(held("/debug/pprof/heap"), ["47"], "both")
        equal(held(f"/debug/pprof/heap?pid={first.pid}"), ["7"], "the first")
        equal(held(f"/debug/pprof/heap?pid={second.pid}"), ["40"], "the second")
        try:
            fetch(f"http://{address}/debug/pprof/heap?pid=1")
            check(False, "a profile of nobody")
        except urllib.error.HTTPError as error:
            equal(error.code, 404, "status")
        equal(fetch(f"http://{address}/").decode().splitlines()[1:],
              sorted(f"{process.pid} holder" for process in (first, second)), "the list")


def pages():
    with built() as (_, live, program), listening(live, "--by", "type", "--top", "1") as address:
        text = fetch(f"http://{address}/metrics").decode()
        check("malloc9_unreadable_files 0\n" in text and "malloc9_live_bytes{" not in text, text)
        with holder(program, live, 7):
            text = fetch(f"http://{address}/metrics").decode()
            equal(len(re.findall(r"^malloc9_live_bytes\{", text, re.M)), 1, "--top 1")
            lint = subprocess.run([harness.find_program("promtool"), "check", "metrics"], input=text, capture_output=True,
                                  text=True, check=False)
            equal([lint.returncode, lint.stderr], [0, ""], f"promtool: {lint.stdout}")
        with ended(malloc9("export", "--listen", address, "--dir", live)) as other:
            equal(other.wait(20), 1, "status")
            equal(other.stderr.read(), f"malloc9: --listen {address}: Address already in use\n", "the same address")
        for bad in "9105", "127.0.0.1:", "127.0.0.1:99999", ":80":
            with ended(malloc9("export", "--listen", bad, "--dir", live)) as other:
                equal([other.wait(20), other.stderr.read()],
                      [2, f"malloc9: --listen {bad}: wants ADDRESS:PORT, such as 127.0.0.1:9105\n"], bad)
    with ended(malloc9("export", "--listen", "127.0.0.1:0")) as server:
        server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        equal(server.wait(20), -signal.SIGTERM, "status at SIGTERM")


if __name__ == "__main__":
    harness.main(prometheus, profiles, pages)
