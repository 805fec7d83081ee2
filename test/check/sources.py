# SPDX-License-Identifier: BSD-2-Clause
"""The project's files and what the checks want to know of one: its includes, conditions and code without comments."""
import pathlib
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property

CODE = (".h", ".cc", ".c", ".S", ".s", ".asm")

# Comments, raw strings, strings and characters; a quote between digits separates them.
NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"([^(\n]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""", re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
CONDITION = re.compile(r"^\s*#\s*(?:el)?if(?:n?def)?\b(.*)$", re.M)


def project_files(root):
    """Paths, relative to `root`, of all files that git tracks or would track; outside git, of what no build made."""
    done = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"], cwd=root,
                          check=False, capture_output=True, text=True)
    if done.returncode == 0:
        names = (pathlib.PurePath(name) for name in done.stdout.splitlines())
    else:
        names = (path.relative_to(root) for path in root.rglob("*"))
    return sorted(name for name in names
                  if (root / name).is_file() and name.parts[0] != ".git" and not name.parts[0].startswith("build"))


@dataclass
class Source:
    root: pathlib.Path
    name: pathlib.PurePath

    @property
    def folder(self):
        return self.name.parts[0]

    @cached_property
    def text(self):
        return (self.root / self.name).read_text(errors="replace")

    @cached_property
    def code(self):
        """The text with comments and literals blanked; its line numbers are the file's."""
        return NOT_CODE.sub(lambda match: " " + "\n" * match.group().count("\n"), self.text)

    @cached_property
    def includes(self):
        """[(is it in quotes, name)], in order, comments left out."""
        plain = re.sub(r"//[^\n]*|/\*.*?\*/", " ", self.text, flags=re.S)
        return [(quote == '"', name) for quote, name in INCLUDE.findall(plain)]

    @cached_property
    def condition_names(self):
        """Every identifier that an #if, #ifdef, #ifndef or #elif of this file looks at."""
        return {word for condition in CONDITION.findall(self.code) for word in re.findall(r"[A-Za-z_]\w*", condition)}

    def line_of(self, match):
        return self.code.count("\n", 0, match.start()) + 1


def is_code(name):
    return name.suffix in CODE
