#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""naming_test.py SAMPLE: the names that `malloc9 stat` finds in debug information, for a program that is built, stripped,
moved, replaced and deleted in several ways; and that it finds none where there is no right one."""
import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import harness
from harness import check, equal

source = os.path.abspath(sys.argv.pop(1))
with open(source, encoding="utf-8") as sample:
    lines = {text.split("// line: ")[1].strip(): n for n, text in enumerate(sample, 1) if "// line: " in text}


def run(*argv, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DEBUGINFOD_")}
    return subprocess.run(argv, env=clean | env, capture_output=True, text=True, timeout=60, check=False)


def build(folder, compiler, *options):
    path = os.path.join(folder, "sample")
    done = run(compiler, "-std=c++20", "-g", "-O2", "-Wl,--build-id", "-DPROGRAM", *options, source, "-o", path)
    equal(done.returncode, 0, done.stderr)
    return path


def separate(path, debug):
    """Moves the debug information out of `path`, into `debug`."""
    for argv in (["objcopy", "--only-keep-debug", path, debug], ["strip", "--strip-all", path]):
        done = run(*argv)
        equal(done.returncode, 0, done.stderr)


def link(path, debug):
    done = run("objcopy", "--add-gnu-debuglink=" + debug, path)
    equal(done.returncode, 0, done.stderr)


def build_id(path):
    text = run("readelf", "-n", path).stdout
    return text.split("Build ID: ")[1].split()[0]


def dump_of(folder, *argv):
    dump = os.path.join(folder, "dump.m9")
    done = run(*argv, **harness.preload_env(mode="rseq", conf={"dump": dump}))
    equal((done.returncode, done.stderr), (0, ""), argv)
    harness.check_in_use(harness.read_stats(dump))
    return dump


def stat(dump, *options, stderr="", **env):
    done = run(harness.tool(), "stat", *options, dump, **env)
    equal((done.returncode, done.stderr), (0, stderr), f"stat {options}: status and standard error")
    return done.stdout


def types_of(dump, *options, **more):
    return json.loads(stat(dump, "--json", *options, **more))["types"]


def places(entry):
    """What JSON says of a type, as `function:line`; the files are checked on the way."""
    for frame in [entry, *entry.get("inlined", [])]:
        if "line" in frame and frame["function"].startswith("shop::"):
            equal(frame["file"], source, f"file of {frame}")
    here = [f"{entry.get('function')}:{entry.get('line')}"]
    return here + [f"{frame['function']}:{frame.get('line')}" for frame in entry.get("inlined", [])]


def at(name):
    return f"shop::{name}:{lines[name]}"


OPEN_SHOP = [at("take"), at("take"), at("box"), at("open_shop")]


def only(types, **wanted):
    found = [entry for entry in types if all(entry[key] == value for key, value in wanted.items())]
    equal(len(found), 1, f"types with {wanted} among {[entry['type'] for entry in types]}: number")
    return found[0]


def check_sample(types):
    """That both functions of the sample are named, with all that was inlined into them."""
    equal(places(only(types, numallocs=7, sizes=[256])), OPEN_SHOP, "open_shop")
    found = places(only(types, numallocs=11, sizes=[4096]))
    check(found[0] == at("fill") == found[-1] and len(found) > 3, f"fill is named {found}")
    check(all(place.startswith(("std::", "__gnu_cxx::", "operator new")) for place in found[1:-1]), f"fill has {found}")


def test_built_in():
    for compiler in "g++", "clang++":
        with tempfile.TemporaryDirectory() as folder:
            path = build(folder, compiler)
            dump = dump_of(folder, path)
            check_sample(types_of(dump, "--names", "debug"))
            entry = only(types_of(dump), numallocs=7, sizes=[256])
            equal(places(entry), ["shop::open_shop:None"], "auto, with a symbol in the dump")
            check(entry["type"].startswith("sample!_ZN4shop9open_shopEv+0x"), entry["type"])
            text = stat(dump, "--names", "debug")
            check(f"\nsample!shop::take (naming_sample.cc:{lines['take']}) " in text, text)
            check("\nsample!shop::open_shop+0x" in stat(dump), stat(dump))
            check("\nsample!_ZN4shop9open_shopEv+0x" in stat(dump, "--names", "dump"), stat(dump, "--names", "dump"))


def test_stripped():
    for compiler in "g++", "clang++":
        with tempfile.TemporaryDirectory() as folder:
            path = build(folder, compiler)
            debug = os.path.join(folder, "sample.debug")
            separate(path, debug)
            dump = dump_of(folder, path)
            nameless = only(types_of(dump), numallocs=7, sizes=[256])
            check("function" not in nameless and nameless["type"].startswith("sample+0x"), nameless)
            id_folder = os.path.join(folder, "debug", ".build-id", build_id(path)[:2])
            os.makedirs(id_folder)
            in_id_folder = os.path.join(id_folder, build_id(path)[2:] + ".debug")
            by_id = ("--debug-dir", os.path.join(folder, "debug"))
            shutil.copy(debug, in_id_folder)
            check_sample(types_of(dump, *by_id))
            with open(path + ".other.cc", "w", encoding="ascii") as file:
                file.write("int main() {}\n")
            equal(run(compiler, "-g", "-Wl,--build-id", path + ".other.cc", "-o", in_id_folder).returncode, 0)
            check("function" not in only(types_of(dump, *by_id), numallocs=7, sizes=[256]), "another's debug file")
            shutil.copy(debug, in_id_folder)
            os.unlink(path)  # the debug file tells all
            check_sample(types_of(dump, *by_id))


def test_debuglink():
    with tempfile.TemporaryDirectory() as folder:
        path = build(folder, "g++")
        separate(path, path + ".debug")
        link(path, path + ".debug")
        dump = dump_of(folder, path)
        check_sample(types_of(dump))
        check(f"\nsample!shop::take (naming_sample.cc:{lines['take']}) " in stat(dump), stat(dump))
        check(f'\nsample!shop::take (naming_sample.cc:{lines["take"]}),7,' in stat(dump, "--csv"), stat(dump, "--csv"))
        os.mkdir(os.path.join(folder, ".debug"))
        os.rename(path + ".debug", os.path.join(folder, ".debug", "sample.debug"))
        check_sample(types_of(dump))


def test_replaced():
    with tempfile.TemporaryDirectory() as folder:
        path = build(folder, "g++")
        separate(path, path + ".debug")
        dump = dump_of(folder, path)
        os.unlink(path)
        entry = only(types_of(dump), numallocs=7, sizes=[256])
        check("function" not in entry and "file" not in entry, entry)
        gone = f"malloc9: note: {path}: the file that ran is not there, so it gives no names\n"
        others = "malloc9: note: linux-vdso.so.1"
        text = run(harness.tool(), "stat", "--names", "debug", dump).stderr
        equal([line for line in text.splitlines(True) if others not in line], [gone], "notes on what is gone")
        build(folder, "g++", "-O0")
        replaced = f"malloc9: note: {path}: not the file that ran (its build-id differs), so it gives no names\n"
        entry = only(types_of(dump, stderr=replaced), numallocs=7, sizes=[256])
        check("function" not in entry and "file" not in entry and entry["type"].startswith("sample+0x"), entry)
        check("\nsample+0x" in stat(dump, stderr=replaced), "the table of a replaced program")


def test_closed_plugin():
    with tempfile.TemporaryDirectory() as folder:
        path = build(folder, "g++")
        plugin = os.path.join(folder, "plugin.so")
        done = run("g++", "-std=c++20", "-g", "-O2", "-fPIC", "-shared", source, "-o", plugin)
        equal(done.returncode, 0, done.stderr)
        separate(plugin, plugin + ".debug")
        link(plugin, plugin + ".debug")
        dump = dump_of(folder, path, "plugin", plugin)
        for options in [], ["--names", "debug"]:
            entry = only(types_of(dump, *options), numallocs=5, sizes=[128])
            check(entry["type"].startswith("plugin.so!plugin_work+0x"), entry)
        frames = places(entry)
        equal(frames[:3], [at("take"), at("take"), at("box")], "inlined in the plugin")
        check(frames[3].endswith(f"plugin_work:{lines['plugin_work']}"), frames)
        os.unlink(plugin)
        entry = only(types_of(dump), numallocs=5, sizes=[128])
        equal(places(entry), ["plugin_work:None"], "a plugin that is gone, as the dump says it")


def test_generated():
    with tempfile.TemporaryDirectory() as folder:
        path = build(folder, "g++")
        for wanted in "one", "two":
            dump = dump_of(folder, path, "generated", wanted)
            pid = json.loads(stat(dump, "--json"))["pid"]
            try:
                entry = only(types_of(dump), numallocs=3, sizes=[4096])
                equal(entry["type"], "(code)#1", "type of generated code")
                equal(entry.get("function"), "made_at_run_time" if wanted == "one" else None, f"map with {wanted}")
                os.utime(f"/tmp/perf-{pid}.map", (1, 1))  # of an earlier process with this number
                check("function" not in only(types_of(dump), numallocs=3, sizes=[4096]), "an old map")
            finally:
                os.unlink(f"/tmp/perf-{pid}.map")


@contextlib.contextmanager
def server(debug, asked):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            found = self.path == f"/buildid/{build_id(debug)}/debuginfo"
            with open(debug, "rb") as file:
                body = file.read() if found else b"no"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{web.server_port}/"
    finally:
        web.shutdown()
        web.server_close()


def on_terminal(dump, **env):
    """What `stat --names debug` writes on a standard error that is a terminal."""
    ours, its = os.openpty()
    argv = [harness.tool(), "stat", "--json", "--names", "debug", dump]
    with open(ours, "rb", buffering=0) as terminal:
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=its, env=os.environ | env) as process:
            os.close(its)
            text = b""
            with contextlib.suppress(OSError):  # how a terminal says that nobody holds it any more
                while data := terminal.read(65536):
                    text += data
            equal(process.wait(), 0, "status on a terminal")
    return text.decode()


def test_debuginfod():
    with tempfile.TemporaryDirectory() as folder:
        path, debug, asked = build(folder, "g++"), os.path.join(folder, "elsewhere"), []
        separate(path, debug)
        dump = dump_of(folder, path)
        home = {"HOME": folder, "XDG_CACHE_HOME": os.path.join(folder, "cache")}
        with server(debug, asked) as url:
            check("function" not in only(types_of(dump, DEBUGINFOD_URLS=url, **home), numallocs=7, sizes=[256]),
                  "auto asks no server")
            equal(asked, [], "what auto asked a server for")
            done = run(harness.tool(), "stat", "--json", "--names", "debug", dump, DEBUGINFOD_URLS=url, **home)
            equal(done.returncode, 0, done.stderr)
            check_sample(json.loads(done.stdout)["types"])
            check(f"/buildid/{build_id(debug)}/debuginfo" in asked, asked)
            check("fetching" not in done.stderr, f"progress though there is no terminal: {done.stderr}")
            shutil.rmtree(os.path.join(folder, "cache"))
            check("\rmalloc9: fetching names of sample: " in on_terminal(dump, DEBUGINFOD_URLS=url, **home), "progress")


def test_debuginfod_hangs():
    with tempfile.TemporaryDirectory() as folder, socket.socket() as silent:
        path = build(folder, "g++")
        separate(path, os.path.join(folder, "elsewhere"))
        dump = dump_of(folder, path)
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # accepts, and says nothing
        began = time.monotonic()
        done = run(harness.tool(), "stat", "--json", "--names", "debug", dump, DEBUGINFOD_TIMEOUT="2",
                   DEBUGINFOD_URLS=f"http://127.0.0.1:{silent.getsockname()[1]}/", HOME=folder,
                   XDG_CACHE_HOME=os.path.join(folder, "cache"))
        took = time.monotonic() - began
        equal(done.returncode, 0, done.stderr)
        note = "malloc9: note: DEBUGINFOD_URLS: no answer for 2 s, so no server is asked any more\n"
        equal(done.stderr.count(note), 1, f"notes of the timeout in {done.stderr!r}")
        check(2 <= took < 20, f"it took {took} s")
        check("function" not in only(json.loads(done.stdout)["types"], numallocs=7, sizes=[256]), "names from nowhere")


harness.main(test_built_in, test_stripped, test_debuglink, test_replaced, test_closed_plugin, test_generated,
             test_debuginfod, test_debuginfod_hangs)
