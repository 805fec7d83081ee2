# SPDX-License-Identifier: BSD-2-Clause
"""Compilers, make, and malloc9's own build under the library: what they make is the same, byte for byte."""
import os
import shutil

from cases import SOURCE_ROOT, WORKLOADS, case
from evidence import Failure
from harness import check_in_use, read_stats


def compile_twice(s, compiler, source, flags, allocs):
    """The object must be the same with and without the library (same names of source and object)."""
    made = s.tmp / "made.o"
    argv = [s.program(compiler), *flags, "-c", WORKLOADS / source, "-o", made]
    s.run_plain(argv)
    want = made.read_bytes()
    made.unlink()
    s.run(argv, allocs=allocs)
    s.equal(made.read_bytes(), want, f"the object of {compiler} {' '.join(flags)}")


def compile_and_run(s, compiler, source, flags):
    """Compile and link without the library, then with it: the same program; then that program runs under it."""
    built = s.tmp / "program"
    argv = [s.program(compiler), *flags, WORKLOADS / source, "-o", built, "-lm", "-pthread"]
    s.run_plain(argv)
    want = built.read_bytes()
    s.run(argv, allocs=100)
    s.equal(built.read_bytes(), want, f"the program of {compiler} {' '.join(flags)}")
    s.same([built], allocs=1000)


def rejects(s, compiler, *flags):
    """A source with errors: the same diagnostics, and a regular end."""
    wrong = "int f{0}(void) {{ return missing{0} + (struct s{0}){{}}.x; }}\n"
    bad = s.write("bad.c", "".join(wrong.format(n) for n in range(30)))
    s.same([s.program(compiler), *flags, "-c", bad, "-o", s.tmp / "bad.o"], rc=1, allocs=50)


@case("gcc")
def gcc(s):
    for flags in (["-O0", "-g"], ["-O2"], ["-O3", "-g3", "-march=native"]):
        compile_twice(s, "gcc", "program.c", flags, allocs=100)
    s.used_by("cc1", processes=3, allocs=5000)
    s.used_by("as", processes=3, allocs=500)
    compile_and_run(s, "gcc", "program.c", ["-O2"])
    compile_and_run(s, "gcc", "program.c", ["-O2", "-flto", "-frandom-seed=1"])
    s.used_by("lto1", allocs=1000)
    s.used_by("collect2", processes=2, allocs=20)
    s.used_by("ld", processes=2, allocs=100)
    rejects(s, "gcc")


@case("g++")
def gxx(s):
    if s.scale > 1:
        for level in ("-O0", "-O3"):
            compile_twice(s, "g++", "program.cc", ["-std=c++20", "-DHEAVY", "-g", level], allocs=100)
    compile_and_run(s, "g++", "program.cc", ["-std=c++20", "-O1", *(["-DHEAVY"] if s.scale > 1 else [])])
    s.used_by("cc1plus", allocs=20000)
    rejects(s, "g++", "-x", "c++")


@case("clang")
def clang(s):
    for flags in (["-O0", "-g"], ["-O2"]):
        compile_twice(s, "clang", "program.c", flags, allocs=5000)
    for flags in (["-O1"], ["-O0", "-g"], ["-O3", "-DHEAVY"])[:3 if s.scale > 1 else 1]:
        compile_twice(s, "clang++", "program.cc", ["-std=c++20", *flags], allocs=20000)
    compile_and_run(s, "clang", "program.c", ["-O2"])
    rejects(s, "clang")


@case("make")
def make(s):
    count = 24 * s.scale
    outputs = []
    for run in (s.run_plain, s.run):
        folder = s.tmp / "built"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(WORKLOADS / "Makefile", folder)
        run([s.program("make"), "-j2", f"COUNT={count}", f"CC={s.program('gcc')}"], cwd=folder, timeout=240)
        outputs.append([(folder / "libparts.a").read_bytes(), (folder / "program").read_bytes()])
    s.equal(outputs[1][0], outputs[0][0], "libparts.a")
    s.equal(outputs[1][1], outputs[0][1], "program")
    s.used_by("make", allocs=500)
    s.used_by("cc1", processes=count, allocs=1000)
    s.used_by("ar", allocs=100)
    s.equal(int(s.run([folder / "program"]).stdout), sum(n * n + 2 * count - 1 for n in range(1, count + 1)), "the sum")
    s.same([s.program("make"), f"COUNT={count}", "-n", "-B"], cwd=folder, allocs=500)


def not_source(folder, names):
    """What a copy of the tree leaves out: history and build directories."""
    return [n for n in names if n in {".git", "__pycache__"} or os.path.exists(os.path.join(folder, n, "build.ninja"))]


def configure(s):
    """A build directory of malloc9 itself, of a copy of its source that nobody edits, configured without the library."""
    shutil.copytree(SOURCE_ROOT, s.tmp / "source", ignore=not_source)
    s.run_plain([s.program("meson"), "setup", s.tmp / "self", s.tmp / "source"], timeout=300)
    return s.tmp / "self"


def use_built(s, library):
    """The library that was just built serves a program of its own."""
    if s.plain:
        return
    dump = s.tmp / "built.m9"
    env = {"LD_PRELOAD": str(library), "MALLOC9_CONF": f"dump:{dump},audit:exit"}
    done = s.run([s.program("ls"), "-lR", "/usr/include/linux"], preload=False, env=env)
    s.check(b"malloc9: audit: ok" in done.stderr, f"no audit of the built library: {done.stderr!r}")
    check_in_use(read_stats(dump), "rseq")
    s.equal(done.stdout, s.run_plain([s.program("ls"), "-lR", "/usr/include/linux"]).stdout, "ls")


def build(s, folder, targets, timeout):
    """ninja under the library makes a library that works."""
    s.run([s.program("ninja"), "-C", folder, "-j2", *targets], timeout=timeout, allocs=1000)
    s.used_by("cc1plus", processes=5, allocs=10000)
    s.used_by("ld", allocs=100)
    use_built(s, folder / "preload" / "libmalloc9.so")


@case("self-build-library")
def self_build_library(s):
    build(s, configure(s), ["preload/libmalloc9.so"], 300)


@case("self-build")
def self_build(s):
    folder = configure(s)
    library = folder / "preload" / "libmalloc9.so"
    s.run_plain([s.program("ninja"), "-C", folder, "-j2", "preload/libmalloc9.so"], timeout=600)
    want = library.read_bytes()
    s.run_plain([s.program("ninja"), "-C", folder, "-t", "clean"])
    build(s, folder, [], 1500)
    s.equal(library.read_bytes(), want, "libmalloc9.so")
    argv = [s.program("meson"), "test", "-C", folder, "--no-rebuild", "--suite", "unit"]
    done = s.run_plain(argv, rc=None, timeout=600)
    if done.rc != 0:
        raise Failure(f"the unit tests of that build: {done.stdout[-3000:].decode(errors='replace')}")
    s.check(b"Ok:" in done.stdout and b"Ok:                 0" not in done.stdout, "that build has no unit tests")
