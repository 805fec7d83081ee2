#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What bash, zsh and fish offer, asked of the shells themselves; and that it is all that --help tells."""
import os
import re
import subprocess
import tempfile

import harness
from harness import check, equal

VERBS = re.findall(r"^  ([a-z]+) ", subprocess.run([harness.tool(), "--help"], capture_output=True, text=True, check=True)
                   .stdout.split("Subcommands:")[1], re.M)


def script(shell):
    return subprocess.run([harness.tool(), "completion", shell], capture_output=True, text=True, check=True).stdout


def help_options(verb):
    text = subprocess.run([harness.tool(), verb, "--help"], capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^  (-\S+)", text.split("Options:")[1], re.M)
    return sorted(name for line in lines for name in line.split(","))


def ask_bash(*words):
    """What is offered for the last of `words`."""
    code = script("bash") + f"COMP_WORDS=(malloc9 {' '.join(repr(word) for word in words)}); COMP_CWORD={len(words)}\n"
    code += '_malloc9; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    equal(done.stderr, "", "bash")
    return sorted(done.stdout.split())


def ask_fish(line):
    with tempfile.TemporaryDirectory() as home, open(os.path.join(home, "m9.fish"), "w", encoding="utf-8") as file:
        file.write(script("fish"))
        file.flush()
        done = subprocess.run([harness.find_program("fish"), "--no-config", "-c",
                               f"source {file.name}; complete -C '{line}'"],
                              capture_output=True, text=True, check=True, cwd="/", env={**os.environ, "HOME": home})
    return sorted(row.split("\t")[0] for row in done.stdout.splitlines())


def ask_zsh(*words):
    """The arguments that the script gives to zsh's own functions."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(script("zsh"))
        file.flush()
        code = ("_describe() { print -rl -- ${(P)2} }; _arguments() { print -rl -- \"$@\" }; "
                f"complete_it() {{ words=(malloc9 {' '.join(repr(w) for w in words)}); CURRENT={len(words) + 1}; "
                f". {file.name} }}; complete_it")
        done = subprocess.run([harness.find_program("zsh"), "-f", "-c", code], capture_output=True, text=True, check=False)
    equal([done.returncode, done.stderr], [0, ""], "zsh")
    return done.stdout.splitlines()


def bash():
    equal(ask_bash(""), sorted([*VERBS, "--help", "--version"]), "verbs")
    equal(ask_bash("le"), ["leaks"], "a verb")
    for verb in VERBS:
        equal(ask_bash(verb, "-"), help_options(verb), f"options of {verb}")
    equal(ask_bash("sites", "--by", ""), ["file", "function", "module", "type"], "a choice")
    equal(ask_bash("completion", ""), ["bash", "fish", "zsh"], "an operand")
    equal(ask_bash("check", "--budget", ""), [], "files, which bash itself offers")
    done = subprocess.run(["shellcheck", "--shell=bash", "-"], input=script("bash"), capture_output=True, text=True, check=False)
    equal([done.returncode, done.stdout], [0, ""], "shellcheck")


def fish():
    equal(ask_fish("malloc9 "), sorted(VERBS), "verbs")
    for verb in VERBS:
        # fish offers the long name where there are two
        equal(ask_fish(f"malloc9 {verb} --"), [n for n in help_options(verb) if n.startswith("--")], f"options of {verb}")
    equal(ask_fish("malloc9 sites --by "), ["file", "function", "module", "type"], "a choice")
    equal(ask_fish("malloc9 completion "), ["bash", "fish", "zsh"], "an operand")
    check("etc/" in ask_fish("malloc9 check --budget "), "files")


def zsh():
    equal([line.partition(":")[0] for line in ask_zsh("")], VERBS, "verbs")
    for verb in VERBS:
        lines = ask_zsh(verb, "-")
        names = [re.sub(r"^\([^)]*\)", "", line).partition("[")[0] for line in lines if not line.startswith("*")]
        equal(sorted(names), help_options(verb), f"options of {verb}")
    check([line for line in ask_zsh("sites", "-") if line.startswith("--by[") and
           line.endswith(":value:(type function file module)")], ask_zsh("sites", "-"))
    equal(ask_zsh("completion", "")[-1], "*:value:(bash zsh fish)", "an operand")


if __name__ == "__main__":
    harness.main(bash, fish, zsh)
