#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# programs_test.py MALLOC9 FAKE_LIBRARY: programs that would not use a preloaded malloc are not started, and one line
# says why; programs that only look like it are. Each is made here, by the compilers or by patching a file.
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

tool, fake = (os.path.abspath(path) for path in sys.argv[1:3])
gcc = shutil.which("gcc") or shutil.which("cc")
clang = shutil.which("clang") or shutil.which("clang-14")
is_root = os.getuid() == 0
nobody = 65534
hello = '#include <stdio.h>\nint main(void) { puts("started"); return 0; }\n'
own_malloc = ('#include <stdlib.h>\nvoid *__libc_malloc(size_t);\nvoid *malloc(size_t n) { return __libc_malloc(n); }\n'
              '#include <stdio.h>\nint main(void) { puts("started"); return malloc(5) == 0; }\n')
inner_malloc = '__attribute__((used)) void *je_malloc(long n) { return (void *)n; }\n' + hello


class Programs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="malloc9-programs-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)
        self.environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "MALLOC9_CONF", "TMPDIR")}
        self.environment |= {"MALLOC9_LIB": fake, "LC_ALL": "C"}

    def path(self, name):
        return os.path.join(self.folder, name)

    def written(self, name, text, mode=0o755):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def compiled(self, name, text, *options, compiler=gcc):
        source = self.written(name + ".c", text)
        subprocess.run([compiler, "-o", self.path(name), source, *options], check=True)
        return self.path(name)

    def run_tool(self, *arguments, binary=tool, **options):
        return subprocess.run([binary, "run", *arguments], env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False, **options)

    def refused(self, text, *arguments, **options):
        done = self.run_tool(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", f"malloc9: {text}\n"))

    def started(self, *arguments, warning="", **options):
        done = self.run_tool(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (0, "started\n"), done.stderr)
        before, found, _ = done.stderr.partition(" 5 types, 8002240 bytes live\n")
        self.assertTrue(found, done.stderr)
        self.assertRegex(before, f"^malloc9: warning: {re.escape(warning)}\n[^\n]*$" if warning else r"^[^\n]*$")

    def test_plain(self):
        self.started(self.compiled("plain", hello))
        self.started(self.compiled("fixed", hello, "-no-pie"))
        self.started(self.compiled("stripped", hello, "-s"))
        self.started("./plain", cwd=self.folder)

    def test_looked_up_as_a_shell_does(self):
        self.compiled("plain", hello)
        self.environment["PATH"] = f"/nonexistent:{self.folder}:/usr/bin:/bin"
        self.started("plain")
        os.mkdir(self.path("folder"))
        self.refused("folder: not found in PATH", "folder")
        self.refused("no-such-program: not found in PATH", "no-such-program")
        self.refused("/no/such/program: No such file or directory", "/no/such/program")
        self.refused(f"{self.folder}: is a directory", self.folder)
        self.refused("/dev/null: is not a regular file", "/dev/null")
        path = self.written("data", "data", 0o644)
        self.refused(f"{path}: Permission denied", path)

    def test_static(self):
        text = "is statically linked, so no library can be preloaded into it"
        for option in "-static", "-static-pie":
            path = self.compiled("static" + option, hello, option)
            self.refused(f"{path}: {text}", path)
        script = self.written("script", f"#!{path}\n")
        self.refused(f"{path}: {text}", script)

    def test_scripts(self):
        self.compiled("plain", hello)
        self.started(self.written("simple", "#!/bin/bash\necho started\n"))
        self.started(self.written("with-argument", "#! /bin/bash -e\t\necho started\n"))
        self.started(self.written("by-env", "#!/usr/bin/env bash\necho started\n"))
        first = self.written("first", f"#!{self.path('plain')}\n")
        self.started(self.written("second", f"#!{first} argument\n"))
        path = self.written("none", "#!/no/such/interpreter -x\n")
        self.refused(f"{path}: its interpreter /no/such/interpreter: No such file or directory", path)
        path = self.written("none-by-env", "#!/usr/bin/env no-such-interpreter\n")
        self.refused(f"{path}: its interpreter no-such-interpreter: not found in PATH", path)
        path = self.written("empty-line", "#!\necho\n")
        self.refused(f"{path}: its #! line names no interpreter", path)
        path = self.path("circle")
        self.written("circle", f"#!{path}\n")
        self.refused(f"{path}: too many interpreters of interpreters", path)
        path = self.written("bare", "echo started\n")
        self.refused(f"{path}: is neither an ELF program nor a script that begins with #!", path)
        path = self.written("empty", "")
        self.refused(f"{path}: is neither an ELF program nor a script that begins with #!", path)

    def test_other_machines(self):
        with open(self.compiled("plain", hello), "rb") as file:
            elf = bytearray(file.read())
        elf[18:20] = (243).to_bytes(2, "little")  # RISC-V
        with open(self.written("riscv", ""), "wb") as file:
            file.write(elf)
        self.refused(f"{self.path('riscv')}: is a program for another kind of machine", self.path("riscv"))
        ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
        header = ident + b"".join(n.to_bytes(s, "little") for n, s in [(2, 2), (3, 2), (1, 4), (0, 4), (0, 4), (0, 4),
                                  (0, 4), (52, 2), (32, 2), (0, 2), (40, 2), (0, 2), (0, 2)])
        with open(self.written("i386", ""), "wb") as file:
            file.write(header)
        self.refused(f"{self.path('i386')}: is a 32-bit program, and libmalloc9.so is 64-bit", self.path("i386"))
        path = self.compiled("musl", hello, "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1")
        self.refused(f"{path}: is linked with musl, and libmalloc9.so needs glibc", path)

    def test_malloc_of_its_own(self):
        text = "has a malloc of its own, which it uses instead of a preloaded one"
        for name, options in [("exported", ["-rdynamic"]), ("inside", []), ("stripped", ["-rdynamic", "-s"])]:
            path = self.compiled(name, own_malloc, *options)
            self.refused(f"{path}: {text}", path)
        path = self.compiled("inner", inner_malloc)
        self.started(path, warning=f"{path}: contains je_malloc; what comes from it is not seen")

    def test_other_mallocs_as_libraries(self):
        source = self.written("other.c", "int other_malloc;\n")
        for name in "libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0":
            library = self.path(name)
            subprocess.run([gcc, "-shared", "-o", library, source, "-Wl,-soname=" + name], check=True)
            path = self.compiled("with-" + name, hello, "-Wl,--no-as-needed", library, "-Wl,-rpath," + self.folder)
            self.started(path, warning=f"{path}: is linked with {name}, whose malloc malloc9 replaces")

    def test_sanitizers(self):
        text = "is built with {}, which has a malloc of its own"
        made = 0
        for compiler in filter(None, [gcc, clang]):
            for option, name in [("address", "AddressSanitizer"), ("thread", "ThreadSanitizer"),
                                 ("leak", "LeakSanitizer"), ("memory", "MemorySanitizer")]:
                if option == "memory" and compiler == gcc:
                    continue
                path = self.path(option)
                source = self.written("hello.c", hello)
                command = [compiler, "-fsanitize=" + option, "-o", path, source]
                if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0:
                    continue  # that runtime is not installed
                made += 1
                self.refused(f"{path}: {text.format(name)}", path)
        self.assertGreater(made, 0)
        self.started(self.compiled("ubsan", hello, "-fsanitize=undefined"))

    def as_nobody(self):
        def become():
            os.setgroups([])
            os.setgid(nobody)
            os.setuid(nobody)

        binary = shutil.copy(tool, self.path("malloc9"))
        self.environment["MALLOC9_LIB"] = shutil.copy(fake, self.path("libfake.so"))
        os.chmod(self.environment["MALLOC9_LIB"], 0o755)
        return {"binary": binary, "preexec_fn": become, "cwd": "/"}

    def test_rights(self):
        if not is_root:
            return  # making such files takes root
        path = self.compiled("rights", hello)
        text = "so the dynamic linker ignores LD_PRELOAD"
        as_nobody = self.as_nobody()
        self.started(path, **as_nobody)
        os.chmod(path, 0o755 | stat.S_ISUID)
        self.refused(f"{path}: is setuid, {text}", path, **as_nobody)
        self.started(path)  # root gains nothing by it
        os.chown(path, nobody, nobody)
        os.chmod(path, 0o755 | stat.S_ISUID)
        self.refused(f"{path}: is setuid, {text}", path)
        self.started(path, **as_nobody)
        os.chmod(path, 0o755 | stat.S_ISGID)
        self.refused(f"{path}: is setgid, {text}", path)
        script = self.written("script", "#!/bin/bash\necho started\n", 0o755 | stat.S_ISUID)
        os.chmod(script, 0o755 | stat.S_ISUID)
        self.started(script, **as_nobody)
        path = self.compiled("capable", hello)
        if shutil.which("setcap") and subprocess.run(["setcap", "cap_net_raw+ep", path], check=False).returncode == 0:
            self.refused(f"{path}: has file capabilities, {text}", path, **as_nobody)
            self.started(path)

    def test_executable_but_not_readable(self):
        if not is_root:
            return  # needs another user
        path = self.compiled("secret", hello)
        os.chmod(path, 0o711)
        self.started(path, **self.as_nobody())


unittest.main(argv=sys.argv[:1])
