# SPDX-License-Identifier: BSD-2-Clause
"""bash, coreutils and git: tools that start many short processes."""
import os

from cases import WORKLOADS, case


@case("bash")
def bash(s):
    script = WORKLOADS / "shell.sh"
    s.same([s.program("bash"), script, str(600 * s.scale)], allocs=3000)
    s.used_by("bash", processes=10, allocs=100)  # the subshells
    s.used_by("seq", processes=2)
    s.used_by("sort")


def make_tree(s):
    """Files of many sizes in a few folders; the same bytes every time."""
    state = 99
    for folder in range(6):
        for number in range(20 * s.scale):
            state = (state * 1103515245 + 12345) % 2**31
            lines = [f"{(state * n) % 100003} line {n % 17} of {number}\n" for n in range(1, state % 300 + 2)]
            path = s.write(f"tree/d{folder}/sub{number % 3}/file{number}.txt", "".join(lines))
            os.utime(path, (1600000000 + number, 1600000000 + number))
    return s.tmp / "tree"


@case("coreutils")
def coreutils(s):
    tree = make_tree(s)
    files = sorted(tree.rglob("*.txt"))
    big = s.write("big.txt", b"".join(f.read_bytes() for f in files) * 8)
    other = s.write("other.txt", b"".join(sorted(set(big.read_bytes().splitlines(True)))[::3]))
    listing = s.write("names.txt", "\n".join(map(str, files)) + "\n")
    s.write("order.txt", "".join(f"n{n} n{n * 7 % 501}\n" for n in range(1, 500) if n < n * 7 % 501))
    for argv, allocs in (
            (["sort", "-n", "-k1,1", "-k4", big], 20),
            (["sort", "--parallel=2", "-S", "300K", "-u", "-T", s.tmp, big], 20),
            (["sort", "-R", f"--random-source={listing}", "-k2", other], 20),
            (["ls", "-lRi", "--time-style=full-iso", tree], 200),
            (["ls", "-RS", "--color=always", "--sort=version", tree], 200),
            (["du", "-a", "--apparent-size", tree], 100),
            (["sha256sum", *files], 3), (["md5sum", "--tag", *files], 3), (["cksum", big], 3),
            (["wc", "-lwmc", *files], 3), (["tac", big], 3), (["uniq", "-c", other], 3),
            (["cut", "-d", " ", "-f", "1,3-4", big], 3), (["paste", "-d:", big, other], 3),
            (["comm", "--nocheck-order", big, other], 3), (["fold", "-w", "17", big], 3),
            (["fmt", "-w", "60", other], 3), (["nl", "-ba", big], 3), (["pr", "-3", "-h", "title", other], 3),
            (["od", "-A", "x", "-t", "x1z", other], 3),
            (["tsort", s.tmp / "order.txt"], 100), (["ptx", "-w", "70", files[0]], 100),
            (["join", "-j", "2", "--nocheck-order", files[1], files[2]], 3),
            (["shuf", f"--random-source={big}", other], 3), (["base64", big], 3), (["tail", "-n", "500", big], 3),
            (["head", "-n", "-100", big], 3), (["expand", big], 3), (["numfmt", "--to=iec", "123456", "98765432"], 3),
            (["factor", "18446744073709551557", "340282366920938463463374607431768211455"], 3),
            (["expr", "match", "abc123", r"[a-z]*\([0-9]*\)"], 3), (["stat", "-c", "%n %s %Y", *files], 3),
            (["date", "-u", "-d", "2021-03-04 05:06:07 +3 days", "+%c"], 3), (["printf", "%s-%q\n", "a", "b c"], 3),
            (["env", "-i", "LD_PRELOAD=", "/usr/bin/printf", "%s", "x"], None), (["seq", "-w", "1", "0.5", "3000"], 3),
            (["realpath", *files], 3), (["basename", "-s", ".txt", "-a", *files], 3)):
        path = s.program(str(argv[0]))
        if allocs is None:  # the process becomes another one, without the library
            s.equal(s.run_plain([path, *argv[1:]]).stdout, b"x", "env")
            continue
        s.same([path, *argv[1:]], allocs=allocs)
    copies(s, tree, big)


def copies(s, tree, big):
    """The tools whose result is files."""
    s.run([s.program("cp"), "-a", tree, s.tmp / "copy"], allocs=20)
    s.equal(s.run_plain([s.program("diff"), "-r", tree, s.tmp / "copy"], rc=0).stdout, b"", "cp -a")
    s.run([s.program("dd"), f"if={big}", f"of={s.tmp / 'dd.out'}", "bs=7777", "conv=sync,noerror", "status=none"])
    plain = big.read_bytes()
    s.equal((s.tmp / "dd.out").read_bytes(), plain + b"\0" * (-len(plain) % 7777), "dd")
    s.run([s.program("split"), "-l", "1000", "-d", "-a", "4", big, s.tmp / "part."])
    s.equal(b"".join(p.read_bytes() for p in sorted(s.tmp.glob("part.*"))), plain, "split")
    s.run([s.program("csplit"), "-s", "-f", s.tmp / "cs.", big, "100", "{3}"])
    s.equal(b"".join(p.read_bytes() for p in sorted(s.tmp.glob("cs.*"))), plain, "csplit")
    s.run([s.program("tee"), s.tmp / "tee.out"], input=plain)
    s.equal((s.tmp / "tee.out").read_bytes(), plain, "tee")
    s.run([s.program("install"), "-D", "-m", "640", big, s.tmp / "a/b/c/installed"])
    s.equal((s.tmp / "a/b/c/installed").read_bytes(), plain, "install")
    s.run([s.program("mv"), s.tmp / "copy", s.tmp / "moved"])
    s.run([s.program("rm"), "-r", s.tmp / "moved"])
    s.check(not (s.tmp / "moved").exists(), "rm -r left the tree")


def history(commits):
    """A stream for git fast-import: every commit changes a few of the files; all dates are fixed."""
    stream, contents = [], {}
    state = 7
    for number in range(1, commits + 1):
        message = f"change {number}\n"
        stream.append(f"commit refs/heads/main\ncommitter A Tester <tester@example.org> {1600000000 + number} +0000\n"
                      f"data {len(message)}\n{message}")
        for change in range(4):
            state = (state * 1103515245 + 12345) % 2**31
            name = f"dir{state % 7}/file{state % 41}.txt"
            text = contents.get(name, "") + f"line {number}.{change} {state}\n" * (state % 9 + 1)
            contents[name] = text = text[-20000:]
            stream.append(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
    return "".join(stream) + "done\n"


@case("git")
def git(s):
    git_path = s.program("git")
    env = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "3",
           "GIT_CONFIG_KEY_0": "gc.autoDetach", "GIT_CONFIG_VALUE_0": "false",
           "GIT_CONFIG_KEY_1": "pack.threads", "GIT_CONFIG_VALUE_1": "2",
           "GIT_CONFIG_KEY_2": "protocol.file.allow", "GIT_CONFIG_VALUE_2": "always"}
    commits = 300 * s.scale
    stream = history(commits)

    def build(name, run):
        folder = s.tmp / name
        run([git_path, "init", "-q", "-b", "main", folder], env=env)
        run([git_path, "-C", folder, "fast-import", "--quiet", "--done"], input=stream, env=env)
        return run([git_path, "-C", folder, "rev-parse", "main"], env=env).stdout

    s.equal(build("ours", s.run), build("plain", s.run_plain), "the hash of the last commit")
    ours, clone = s.tmp / "ours", s.tmp / "clone"
    s.run([git_path, "clone", "-q", "--no-local", f"file://{ours}", clone], env=env, allocs=200)
    s.used_by("git", processes=4, allocs=1000)
    s.run([git_path, "-C", clone, "gc", "-q", "--aggressive", "--prune=now"], env=env, timeout=240)
    s.check(len(list(clone.glob(".git/objects/pack/*.pack"))) == 1, "gc left more than one pack, or none")
    done = s.run([git_path, "-C", clone, "fsck", "--full", "--strict"], env=env, allocs=1000)
    told = done.stdout + done.stderr
    s.check(b"error" not in told and b"missing" not in told, f"fsck: {told!r}")
    # The same questions, with and without the library, to both repositories.
    for question in (["rev-list", "--objects", "--all"], ["log", "-p", "--stat", "-M"],
                     ["grep", "-n", "line 2.*7", "main"], ["blame", "--line-porcelain", "main", "--", "dir5/file1.txt"],
                     ["diff", "--patience", f"main~{commits // 2}", "main"], ["ls-tree", "-r", "-l", "main"],
                     ["shortlog", "-sne", "main"], ["cat-file", "--batch-check", "--batch-all-objects"]):
        got = s.same([git_path, "-C", clone, *question], env=env, allocs=100)
        if question[0] != "cat-file":  # the original still has the objects that no commit names
            want = s.run_plain([git_path, "-C", s.tmp / "plain", *question], env=env).stdout
            s.equal(got.stdout, want, f"git {question[0]}")
    s.run([git_path, "-C", clone, "checkout", "-q", f"main~{commits // 3}"], env=env)
    s.run([git_path, "-C", clone, "merge", "-q", "--ff-only", "main"], env=env)
    s.equal(s.run([git_path, "-C", clone, "status", "--porcelain"], env=env).stdout, b"", "git status")
