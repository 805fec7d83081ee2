#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""As a new user would: whose is redis-server's memory? And a leak that is brought into a program, found and mended."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import harness
from harness import check, equal, find_program

APP = pathlib.Path(__file__).parent / "examples" / "app.c"


def malloc9(*arguments, status=0, cwd=None):
    done = subprocess.run([harness.tool(), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False,
                          cwd=cwd, env={**os.environ, "MALLOC9_LIB": harness.library()})
    equal(done.returncode, status, f"status of {arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def redis():
    keys = 20000
    port = str(harness.free_port())
    with tempfile.TemporaryDirectory(prefix="malloc9-first-") as folder:
        dump = os.path.join(folder, "redis.m9")
        server = subprocess.Popen([harness.tool(), "run", "--dump", dump, "--", find_program("redis-server"), "--port", port,
                                   "--save", "", "--dir", folder, "--activedefrag", "no"], stdout=subprocess.DEVNULL,
                                  env={**os.environ, "MALLOC9_LIB": harness.library()})
        client = [find_program("redis-cli"), "-p", port]
        try:
            harness.wait_until(lambda: harness.listening(int(port)), harness.PATIENCE, "redis-server")
            commands = "".join(f"SET key:{i} {'v' * 100}\n" for i in range(keys))
            done = subprocess.run(client, input=commands, capture_output=True, text=True, timeout=60, check=True)
            equal(done.stdout.count("OK\n"), keys, "keys that were set")
            subprocess.run([*client, "SHUTDOWN", "NOSAVE"], capture_output=True, timeout=harness.PATIENCE, check=True)
            equal(server.wait(30), 0, "status of redis-server")
        finally:
            server.kill()
        biggest = json.loads(malloc9("sites", dump, "--top", "1", "--json"))["sites"][0]
        check(biggest["inuse"] >= keys and biggest["memuse"] >= keys * 100, f"not the values: {biggest}")
        table = malloc9("sites", dump, "--top", "1").splitlines()
        check(table[1].split()[0].startswith("redis-"), table)
        harness.check_in_use(harness.read_stats(dump), "rseq")


def leak():
    with tempfile.TemporaryDirectory(prefix="malloc9-first-") as folder:
        def build_and_run(*flags):
            subprocess.run(["cc", "-g", "-rdynamic", *flags, "app.c", "-o", "app"], cwd=folder, check=True)
            equal(malloc9("run", "--dump", "app.m9", "--", "./app", cwd=folder), "served 100000 bytes\n", "the program")

        shutil.copy(APP, folder)
        build_and_run()
        malloc9("check", "app.m9", "--budget", "budget.toml", "--bless", cwd=folder)
        malloc9("check", "app.m9", "--budget", "budget.toml", cwd=folder)
        shutil.copy(os.path.join(folder, "app.m9"), os.path.join(folder, "good.m9"))
        build_and_run("-DFORGET")
        text = malloc9("check", "app.m9", "--budget", "budget.toml", status=1, cwd=folder)
        check("app!request_new: 20\n" in text, text)
        worst = json.loads(malloc9("diff", "good.m9", "app.m9", "--json", "--by", "function", cwd=folder))["changes"][0]
        equal([worst["name"], worst["inuse"]], ["app!request_new", 20], "what grew most")
        check("app!request_new" in malloc9("leaks", "app.m9", "--top", "2", cwd=folder), "leaks")
        build_and_run()
        malloc9("check", "app.m9", "--budget", "budget.toml", cwd=folder)


if __name__ == "__main__":
    harness.main(redis, leak)
