# SPDX-License-Identifier: BSD-2-Clause
"""Prints a project's history for `git fast-import`: 300 commits, each changing a few of 150 files."""
import random

COMMITS = 300
FILES = 150


def main():
    source = random.Random(9)
    words = [f"word{source.randrange(100000)}" for _ in range(3000)]
    line = lambda: " ".join(source.choice(words) for _ in range(8))
    files = [[line() for _ in range(120)] for _ in range(FILES)]
    for commit in range(COMMITS):
        changed = range(FILES) if commit == 0 else source.sample(range(FILES), 5)
        message = f"change {commit}\n"
        print(f"commit refs/heads/main\ncommitter A <a@example.org> {1700000000 + commit} +0000\ndata {len(message)}\n{message}", end="")
        for i in changed:
            for _ in range(4):
                files[i][source.randrange(len(files[i]))] = line()
            text = "\n".join(files[i]) + "\n"
            print(f"M 100644 inline folder{i % 12}/file{i}\ndata {len(text)}\n{text}", end="")
        print()


main()
