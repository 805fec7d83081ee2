# SPDX-License-Identifier: BSD-2-Clause
"""What proves that the library was in use and kept its books: the lines it wrote and the dumps it left.

A program's own output is never trusted for that: without a dump that has allocations in it, a case fails.
"""
import re

from harness import Failed as Failure
from harness import check_in_use, read_stats

# git passes on what the other side says with a prefix, and spaces that clear the rest of the line.
AUDIT_OK = re.compile(rb"(?:remote: )?malloc9: audit: ok: \d+ types, \d+ zones, \d+ items live *\n")


class Evidence:
    """The dumps of one case; they are named PID.PROGRAM.m9."""

    def __init__(self, mode, folder):
        self.mode = mode
        self.folder = folder
        self.known = {}

    def load(self, path):
        """The statistics in a dump, checked."""
        if path not in self.known:
            stats = read_stats(path)
            check_in_use(stats, self.mode)
            self.check_stats(path.name, stats)
            stats["allocs"] = sum(t["numallocs"] for t in stats["types"])
            self.known[path] = stats
        return self.known[path]

    def check_stats(self, name, stats):
        for t in stats["types"]:
            if t["inuse"] != t["numallocs"] - t["numfrees"] or t["memuse"] != t["memalloced"] - t["memfreed"]:
                raise Failure(f"{name}: the numbers of {t['type']} do not add up: {t}")
            if t["inuse"] < 0 or t["memuse"] < 0 or (t["inuse"] == 0) != (t["memuse"] == 0):
                raise Failure(f"{name}: the numbers of {t['type']} make no sense: {t}")

    def judge_process(self, pid, stderr, allocs):
        """The dump and the audit of a process that has ended; returns its stderr without the library's lines."""
        stderr = self.judge_stderr(stderr)
        if not stderr[1]:
            raise Failure("no audit line on its stderr")
        found = sorted(self.folder.glob(f"{pid}.*.m9"))
        if not found:
            raise Failure(f"it left no dump: the library was not in use, or was lost (pid {pid})")
        most = max(self.load(path)["allocs"] for path in found)
        if most < allocs:
            raise Failure(f"its dump counts {most} allocations; at least {allocs} are expected")
        return stderr[0]

    def judge_stderr(self, text):
        """(the text without audit lines, how many said ok); any other line of the library is a failure."""
        rest, good = AUDIT_OK.subn(b"", text)
        odd = re.search(rb"malloc9: [^\n]*", rest)
        if odd:
            raise Failure(f"the library said: {odd.group().decode(errors='replace')}")
        return rest, good

    def dumps(self):
        return [self.load(path) for path in sorted(self.folder.glob("*.m9"))]

    def used_by(self, program, processes, allocs):
        stats = self.dumps()
        mine = [s["allocs"] for s in stats if s["program"].rsplit("/", 1)[-1] == program]
        if len([n for n in mine if n >= allocs]) < processes:
            raise Failure(f"{program}: {processes} dumps with at least {allocs} allocations expected, not {mine}; "
                          f"dumps of {sorted({s['program'] for s in stats})}")

    def judge_all(self, stderr_files):
        for path in stderr_files:
            try:
                self.judge_stderr(path.read_bytes())
            except Failure as failure:
                raise Failure(f"{path.name}: {failure}") from None
        if not self.dumps():
            raise Failure("no process left a dump")
