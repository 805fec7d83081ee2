#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Proves that each rule of layering.py catches what it is for, and lets the right thing pass."""
import pathlib
import tempfile

import harness
import layering

HEAD = "// SPDX-License-Identifier: BSD-2-Clause\n"
HEADER = HEAD + "#pragma once\n"

# (files of a tree, what layering.py says of it)
GOOD = {"shim/a.h": HEADER, "core/b.h": HEADER + '#include "shim/a.h"\n#include <atomic>\n',
        "core/b.cc": HEAD + '#include "core/b.h"\n// asm and #ifdef __linux__ in a comment\nconst char *s = "asm";\n',
        "preload/c.cc": HEAD + '#include "core/b.h"\n#include <signal.h>\n', "core/format.h": HEADER,
        "tool/d.cc": HEAD + '#include "core/format.h"\n#include <vector>\n#if __cpp_lib_format\n#endif\n',
        "shim/arch/x/e.S": HEAD, "README.md": "text"}
CASES = [
    ({"extra.txt": ""}, "extra.txt: is not an entry that the top of the tree may have"),
    ({"core/x.S": HEAD}, "core/x.S: assembly lies in shim/arch/<cpu>/ only"),
    ({"shim/x.h": HEADER + '#include "core/b.h"\n'}, 'shim/x.h: shim/ may not include "core/b.h"'),
    ({"core/x.h": HEADER + '#include "preload/x.h"\n', "preload/x.h": HEADER},
     'core/x.h: core/ may not include "preload/x.h"'),
    ({"core/x.h": HEADER + '#include "shim/arch/x/e.h"\n', "shim/arch/x/e.h": HEADER},
     'core/x.h: core/ may not include "shim/arch/x/e.h"'),
    ({"tool/x.h": HEADER + '#include "core/b.h"\n'}, 'tool/x.h: tool/ may not include "core/b.h"'),
    ({"core/x.h": HEADER + '#include "b.h"\n'}, 'core/x.h: core/ may not include "b.h"'),
    ({"core/x.h": HEADER + '#include "core/none.h"\n'},
     'core/x.h: "core/none.h" is not a path from the root of the tree'),
    ({"core/x.h": HEADER + "#include <stdio.h>\n"},
     "core/x.h: core/ may include freestanding headers only, not <stdio.h>"),
    ({"preload/x.h": HEADER + "#include <vector>\n"}, "preload/x.h: the library may not include <vector>"),
    ({"shim/a.cc": HEAD + "#include <stdio.h>\n"}, 'shim/a.cc: the first include must be "shim/a.h"'),
    ({"core/x.h": HEADER + "#ifdef __linux__\n#endif\n"},
     "core/x.h: conditional on __linux__: only shim/ and preload/ may know the OS and the CPU"),
    ({"core/x.h": HEADER + "#if 0\n#elif defined(__x86_64__)\n#endif\n"},
     "core/x.h: conditional on __x86_64__: only shim/ and preload/ may know the OS and the CPU"),
    ({"core/x.cc": HEAD + 'int n = 1\'000;\nvoid f() { asm volatile(""); }\n'},
     "core/x.cc: line 3: assembly lies in shim/arch/<cpu>/ only"),
    ({"core/x.h": HEAD + "#include <atomic>\n#pragma once\n"},
     "core/x.h: the first directive of a header is #pragma once"),
    ({"core/x.h": HEADER + "\n" * 399}, "core/x.h: 401 lines: at most 400"),
    ({"core/x.h": "#pragma once\n"}, 'core/x.h: no "SPDX-License-Identifier: BSD-2-Clause" at the head'),
    ({"scripts/x": "#!/bin/sh\n"}, 'scripts/x: no "SPDX-License-Identifier: BSD-2-Clause" at the head'),
]


def said_of(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return list(layering.complaints(root))


def good_tree_passes():
    harness.equal(said_of(GOOD), [])


def each_rule_catches():
    for files, want in CASES:
        harness.equal(said_of({**GOOD, **files}), [want], f"what is said of {list(files)}")


harness.main(good_tree_passes, each_rule_catches)
