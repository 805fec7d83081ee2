#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""layering.py ROOT: which file may lie where, and include what. Prints each break of a rule; status 1 if any.

The folders' order is the order of includes: shim < core < preload. The tool reads the statistics format only.
"""
import pathlib
import re
import sys

from sources import Source, is_code, project_files

TOP = {"LICENSE", "README.md", "meson.build", "meson_options.txt", ".gitignore", ".clang-format", ".clang-tidy",
       ".ci", "shim", "core", "preload", "tool", "test", "scripts", "doc"}
MAY_INCLUDE = {
    "shim": r"shim/",
    "core": r"(shim|core)/(?!arch/)",
    "preload": r"(shim|core|preload)/(?!arch/)",
    "tool": r"tool/|core/(format|view|table|rule_file)\.h$",
    "test": r"",
}
FREESTANDING = {"atomic", "bit", "compare", "concepts", "cstdarg", "cstddef", "cstdint", "initializer_list", "limits",
                "new", "type_traits", "utility"}
# What the library's folders may not use of the C++ library: it needs libstdc++ at run time, or allocates.
HOSTED = {"algorithm", "any", "array", "chrono", "condition_variable", "deque", "exception", "filesystem", "format",
          "fstream", "functional", "future", "iomanip", "ios", "iostream", "istream", "list", "locale", "map", "memory",
          "memory_resource", "mutex", "optional", "ostream", "queue", "random", "ranges", "regex", "set", "span",
          "shared_mutex", "sstream", "stack", "stdexcept", "stop_token", "streambuf", "string", "string_view",
          "thread", "tuple", "typeinfo", "unordered_map", "unordered_set", "valarray", "variant", "vector"}
CONDITION_WORDS = {"defined", "__has_include", "__has_builtin", "__has_attribute", "__has_cpp_attribute", "__cplusplus"}
MAX_LINES = 400
SPDX = "SPDX-License-Identifier: BSD-2-Clause"
HAS_SPDX = {".h", ".cc", ".c", ".S", ".s", ".py", ".sh", ".build"}


def check_place(source):
    """Top-level entries, and assembly files; tests may bring what no compiler would write."""
    if source.folder not in TOP:
        yield "is not an entry that the top of the tree may have"
    if source.name.suffix in (".S", ".s", ".asm") and source.name.parts[0] != "test" and (
            source.name.parts[:2] != ("shim", "arch")):
        yield "assembly lies in shim/arch/<cpu>/ only"


def check_includes(source):
    allowed = MAY_INCLUDE.get(source.folder)
    if allowed is None:
        return
    for quoted, name in source.includes:
        if quoted and not re.match(allowed, name):
            yield f'{source.folder}/ may not include "{name}"'
        elif quoted and source.folder != "test" and not (source.root / name).is_file():
            yield f'"{name}" is not a path from the root of the tree'
        if not quoted and source.folder == "core" and name not in FREESTANDING:
            yield f"core/ may include freestanding headers only, not <{name}>"
        if not quoted and source.folder in ("shim", "preload") and name in HOSTED:
            yield f"the library may not include <{name}>"


def check_own_header(source):
    own = source.name.with_suffix(".h")
    if source.name.suffix != ".cc" or source.folder == "test" or not (source.root / own).is_file():
        return
    if not source.includes or source.includes[0] != (True, str(own)):
        yield f'the first include must be "{own}"'


def check_conditions(source):
    """No #if on an OS or a CPU in core/ and tool/: only on names of ours, and on what the compiler can do."""
    if source.folder not in ("core", "tool"):
        return
    for word in sorted(source.condition_names - CONDITION_WORDS):
        if not re.match(r"M9_|__cpp_", word):
            yield f"conditional on {word}: only shim/ and preload/ may know the OS and the CPU"


def check_assembly(source):
    if source.folder not in ("shim", "core", "preload", "tool") or source.name.parts[:2] == ("shim", "arch"):
        return
    for match in re.finditer(r"\b(asm|__asm__|__asm)\b", source.code):
        yield f"line {source.line_of(match)}: assembly lies in shim/arch/<cpu>/ only"


def check_pragma_once(source):
    if source.name.suffix == ".h":
        directives = re.findall(r"^\s*#\s*(\w+\s*\w*)", source.code, re.M)
        if not directives or directives[0].split() != ["pragma", "once"]:
            yield "the first directive of a header is #pragma once"


def check_size_and_license(source):
    lines = source.text.splitlines()
    is_script = bool(lines) and lines[0].startswith("#!")
    if source.name.suffix not in HAS_SPDX and not is_script:
        return
    if len(lines) > MAX_LINES:
        yield f"{len(lines)} lines: at most {MAX_LINES}"
    if not any(line.endswith(SPDX) for line in lines[:2]):
        yield f'no "{SPDX}" at the head'


CODE_RULES = (check_includes, check_own_header, check_conditions, check_assembly, check_pragma_once)
FILE_RULES = (check_place, check_size_and_license)


def complaints(root):
    """Every break of a rule in the tree at `root`, as "file: what"."""
    for name in project_files(root):
        source = Source(root, name)
        for rule in FILE_RULES + (CODE_RULES if is_code(name) else ()):
            yield from (f"{name}: {what}" for what in rule(source))


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    found = list(complaints(root))
    print(*found, sep="\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
