#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""embed.py FOLDER OUT.cc: makes the C++ source that holds the report's page, in two halves, around its data.

Of page.html, `<!--styles-->`, `<!--scripts-->` and `<!--licences-->` are filled in. The page's policy allows exactly
these scripts, by their hashes, and no request to anywhere: a name that became a script by a mistake of ours would
still not run. Libraries must be what vendor/SHA256SUMS says.
"""
import base64
import hashlib
import html
import json
import pathlib
import re
import sys

SCRIPTS = ("vendor/d3.min.js", "vendor/d3-flamegraph.umd.min.js", "vendor/uPlot.iife.min.js", "vendor/tabulator.min.js",
           "data.js", "look.js", "growth.js", "treemap.js", "flame.js", "table.js", "main.js")
STYLES = ("vendor/uPlot.min.css", "vendor/tabulator_simple.min.css", "page.css")
CHUNK = 8000  # characters of one string literal


def check_vendor(folder):
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        want, name = line.split("  ")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != want:
            sys.exit(f"{folder / name}: not the file that SHA256SUMS tells; vendor/fetch.py gets it again")


def read(folder, name):
    # A browser's tools would ask for the map.
    text = re.sub(r"^\s*(//|/\*)# sourceMappingURL=.*$", "", (folder / name).read_text(), flags=re.M)
    if re.search(r"</(script|style)|<!--", text, re.I):
        sys.exit(f"{name}: holds what would end its element")
    return text.strip() + "\n"


def licences(folder):
    versions = json.loads((folder / "vendor" / "versions.json").read_text())
    parts = [f"{name} {about['version']} ({about['licence']})\n\n" + (folder / "vendor" / f"LICENSE-{name}").read_text()
             for name, about in versions.items()]
    return html.escape("\n\n".join(parts))


def page(folder):
    scripts = [read(folder, name) for name in SCRIPTS]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    filled = {
        "<!--policy-->": " ".join(f"'sha256-{text}'" for text in hashes),
        "<!--styles-->": "".join(f"<style>\n{read(folder, name)}</style>\n" for name in STYLES),
        "<!--scripts-->": "".join(f"<script>{text}</script>\n" for text in scripts),
        "<!--licences-->": licences(folder),
    }
    return re.sub("<!--(policy|styles|scripts|licences)-->", lambda match: filled[match.group()],
                  (folder / "page.html").read_text())


def literal(text):
    """C++ string literals of the text, none of them long; a question mark might begin a trigraph."""
    special = re.compile(r'[\x00-\x1f"\\?\x7f]')
    pieces = (text[start:start + CHUNK] for start in range(0, len(text), CHUNK))
    return "\n".join('"' + special.sub(lambda match: f"\\{ord(match.group()):03o}", piece) + '"' for piece in pieces)


def main():
    folder, out = (pathlib.Path(argument) for argument in sys.argv[1:3])
    check_vendor(folder / "vendor")
    before, after = page(folder).split("<!--data-->")
    out.write_text('#include "tool/page.h"\n\nnamespace m9::tool {\n'
                   f"const std::string_view page_before_data =\n{literal(before)};\n"
                   f"const std::string_view page_after_data =\n{literal(after)};\n}} // namespace m9::tool\n")


if __name__ == "__main__":
    main()
