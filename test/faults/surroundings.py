#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""surroundings.py CASE: how processes end, and what they find around them: descriptors, disks, limits, privileges."""
import glob
import os
import re
import resource
import shutil
import stat
import subprocess
import tempfile

import harness
from harness import check, equal

FOLDER = os.environ["MALLOC9_FAULTS"]
STATUS = 33  # of the programs that end on purpose
NOBODY = 65534


def program(name):
    return os.path.join(FOLDER, name)


def ending(case, *arguments, **options):
    return harness.run_preloaded([program("endings"), case, *arguments], check_rc=STATUS, **options)


def allocs_of(stats, name):
    return sum(entry["numallocs"] for entry in stats["types"] if entry["type"].startswith(name + "+0x"))


def check_table(text, name="endings"):
    equal(len(re.findall(r"^malloc9: .* \(pid \d+\), ", text, re.M)), 1, f"tables in {text[-2000:]!r}")
    check(re.search(rf"^malloc9: {name} \(pid \d+\), ", text, re.M), f"no table of {name}: {text[-2000:]!r}")


def underscore_exit():
    result = ending("underscore_exit", conf={"print": "exit"})
    equal(allocs_of(result.stats, "endings!endings_site"), 1000, "allocs")
    check_table(result.stderr)
    equal(len(result.children), 0, "dumps of children")


def underscore_exit_in_handler():
    for _ in range(20):
        result = ending("underscore_exit_in_handler", conf={"print": "exit"}, timeout=30)
        check_table(result.stderr)


def underscore_exit_unsafe():
    """No report where there is no room for it, or none that could be true; the status is the program's."""
    for case in "underscore_exit_on_small_stack", "underscore_exit_after_misuse":
        result = ending(case, conf={"print": "exit"}, require=False)
        equal(result.stats, {}, "dump")
        check("Requests" not in result.stderr, result.stderr)
    check("interior" in result.stderr or "inside" in result.stderr, f"misuse was not seen: {result.stderr!r}")


def underscore_exit_in_threads():
    for _ in range(20):
        result = ending("underscore_exit_in_threads", conf={"print": "exit"}, timeout=30)
        check_table(result.stderr)
        equal(allocs_of(result.stats, "endings!endings_site"), 1000, "allocs")


def quick_exit():
    result = ending("quick", conf={"dump_signal": "USR2"})
    equal(allocs_of(result.stats, "endings!endings_site"), 1100, "allocs")


def exit_with_threads():
    for _ in range(25):
        result = ending("exit_with_threads", conf={"print": "exit"}, timeout=30)
        check_table(result.stderr)


def last_thread():
    ending("last_thread", timeout=30)


def exec_with_threads():
    result = ending("replaced", conf={"print": "exit", "audit": "exit"})
    equal(allocs_of(result.stats, "exe!endings_site") + allocs_of(result.stats, "endings!endings_site"), 50, "allocs")
    equal(len(re.findall(r" \(pid \d+\), ", result.stderr)), 1, "tables")


def spawns():
    result = ending("spawns", conf={"print": "exit"})
    check_table(result.stderr)


def closes_stderr():
    result = ending("closes_stderr", conf={"print": "exit"})
    check_table(result.stderr)


def read_files(folder):
    files = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="ascii") as file:
            files[name] = file.read()
    return files


def takes_all_descriptors():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))

    with tempfile.TemporaryDirectory() as folder:
        ending("takes_all_descriptors", folder, conf={"print": "exit", "dump_signal": "USR2"}, preexec_fn=limit)
        files = read_files(folder)
        equal(files.pop("first"), "", "first")
        check(len(files) >= 1000, f"only {len(files)} files")
        for name, text in files.items():
            equal(text, f"file {name}\n", f"file {name}")


def started_closed():
    def close():
        for fd in range(3):
            os.close(fd)

    with tempfile.TemporaryDirectory() as folder:
        ending("started_closed", folder, conf={"print": "exit", "bad_key": "1"}, preexec_fn=close)
        equal(read_files(folder), {str(fd): f"file {fd}\n" for fd in range(3)}, "the program's files")


def check_complaint(stderr, path):
    lines = [line for line in stderr.splitlines() if path in line]
    equal(len(lines), 1, f"lines that name {path} in {stderr[-1000:]!r}")
    check(lines[0].startswith("malloc9: "), lines[0])


def full_disk():
    """The dump goes to a device that is always full: /dev/full, or for root, who could spoil it, a copy of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = "/dev/full"
        if os.geteuid() == 0:
            path = os.path.join(folder, "full")
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        result = ending("plain", conf={"dump": path, "print": "exit"}, require=False)
        check_table(result.stderr)
        check(stat.S_ISCHR(os.stat(path).st_mode), "the device was replaced by a file")
        check_complaint(result.stderr, path)


def linked_name():
    """A dump through a symbolic link goes where it leads; the link stays."""
    with tempfile.TemporaryDirectory() as folder:
        path, target = os.path.join(folder, "link"), os.path.join(folder, "target")
        os.symlink(target, path)
        ending("plain", conf={"dump": path}, require=False)
        check(os.path.islink(path), "the link was replaced by a file")
        harness.check_in_use(harness.read_stats(target), harness.default_mode())


def unwritable_path():
    with tempfile.TemporaryDirectory() as folder:
        for path in (os.path.join(folder, "no", "such"), folder):
            result = ending("plain", conf={"dump": path, "print": "exit"}, require=False)
            check_table(result.stderr)
            check_complaint(result.stderr, path)
        equal(os.listdir(folder), [], "files made")


def in_namespace(setup):
    """Runs `endings plain` in a mount namespace in which the shell line `setup` was run before; returns its stderr."""
    if os.geteuid() != 0:
        harness.skip("needs root")
    env = harness.preload_env(conf={"print": "exit", "dump": "/mnt/%p"})
    assignments = [f"{name}={env[name]}" for name in ("LD_PRELOAD", "MALLOC9_CONF", "GLIBC_TUNABLES") if name in env]
    for name in ("LD_PRELOAD", "MALLOC9_CONF", "GLIBC_TUNABLES"):
        env.pop(name, None)
    line = setup + ' && exec env "$@"'
    argv = ["unshare", "-m", "sh", "-c", line, "sh", *assignments, program("endings"), "plain"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, STATUS, f"status, with {done.stderr[-1000:]!r}")
    check_table(done.stderr)
    return done.stderr


def small_disk():
    stderr = in_namespace("mount -t tmpfs -o size=4k none /mnt")
    check("/mnt/" in stderr, f"nothing said of the full disk: {stderr[-1000:]!r}")


def read_only_disk():
    in_namespace("mount -t tmpfs -o ro none /mnt")


def no_proc():
    in_namespace("mount -t tmpfs none /mnt && umount -l /proc")


def no_shared_memory():
    in_namespace("mount -t tmpfs none /mnt && umount -l /dev/shm")


def broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    with tempfile.TemporaryDirectory() as folder:
        env = harness.preload_env(conf={"print": "exit", "dump": os.path.join(folder, "%p")})
        with subprocess.Popen([program("endings"), "plain"], env=env, stderr=writer) as process:
            os.close(writer)
            process.wait(60)
        equal(process.returncode, STATUS, "status")
        harness.read_dumps(folder, process.pid, harness.default_mode())


def file_size_limit():
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    result = ending("plain", conf={"print": "exit"}, require=False, preexec_fn=limit)
    check_table(result.stderr)


def few_descriptors():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))

    result = ending("plain", conf={"print": "exit"}, preexec_fn=limit)
    check_table(result.stderr)


def unlimited_stack():
    def limit():
        resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        harness.skip("the stack's hard limit is not infinite")
    ending("plain", preexec_fn=limit)


def fixed_addresses():
    harness.run_preloaded([harness.find_program("setarch"), "-R", program("endings"), "plain"], check_rc=STATUS)
    ending("plain", env={"LD_BIND_NOW": "1"})


def secure():
    """A setuid program ignores the environment: no file, no table. It is linked with the library, as the loader takes
    no preload with a path for it."""
    if os.geteuid() != 0:
        harness.skip("needs root")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        out = os.path.join(folder, "out")
        os.mkdir(out)
        os.chmod(out, 0o777)
        shutil.copy(harness.library(), folder)
        library = os.path.join(folder, os.path.basename(harness.library()))
        os.chmod(library, 0o755)
        path = os.path.join(folder, "secure")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "secure.c")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-o", path, source, library, f"-Wl,-rpath,{folder}"], check=True)
        os.chmod(path, 0o4755)
        env = harness.preload_env(conf={"print": "exit", "dump": os.path.join(out, "%p"), "no_such_key": "1"})
        del env["LD_PRELOAD"]
        done = subprocess.run([path], env=env, capture_output=True, text=True, timeout=60, check=False, user=NOBODY)
        equal(done.returncode, 0, f"status, with {done.stderr!r}")
        equal(done.stdout, f"secure 1, malloc in {library}\n", "stdout")
        equal(done.stderr, "", "stderr")
        equal(os.listdir(out), [], "files made")


def static_child():
    result = harness.run_preloaded(["/bin/bash", "-c", f"{program('static_child')}; {program('static_child')}; true"],
                                   conf={"print": "exit"})
    equal(result.stdout, "static child\n" * 2, "stdout")


def musl_child():
    """A child of another C library runs, by the fallback, and its counts are exact; its own child too."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "musl_child.c")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "musl_child")
        subprocess.run(["musl-gcc", "-O1", "-fno-builtin", "-o", path, source], check=True)
        result = harness.run_preloaded(["/bin/bash", "-c", f"{path}; true"])
    equal(result.stdout, "musl child: 400000, its child: 100000\n", "stdout")
    dumps = [child for child in result.children if child["program"] == "musl_child"]
    equal([dump["mode"] for dump in dumps], ["fallback"] * 2, "modes")
    counts = sorted(sum(entry["numallocs"] for entry in dump["types"]) for dump in dumps)
    equal(counts, [400000, 500000], "allocations of the musl process, and with its own those of its child")


def other_class_child():
    """A 32-bit program: the loader says that it cannot have the library, and runs it."""
    with tempfile.TemporaryDirectory() as folder:
        source, program32 = os.path.join(folder, "child.S"), os.path.join(folder, "child")
        with open(source, "w", encoding="ascii") as file:
            file.write(".globl _start\n_start: pushl $text\ncall puts\npushl $0\ncall exit\n"
                       ".section .rodata\ntext: .asciz \"32 bits\"\n")
        subprocess.run(["as", "--32", "-o", source + ".o", source], check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-dynamic-linker", "/lib/ld-linux.so.2", "-o", program32, source + ".o",
                        "-L/lib32", "-l:libc.so.6"], check=True)
        try:
            subprocess.run([program32], stdout=subprocess.DEVNULL, check=True)
        except OSError as error:
            harness.skip(f"this kernel runs no 32-bit programs: {error.strerror}")
        result = harness.run_preloaded(["/bin/bash", "-c", f"{program32}; true"])
    equal(result.stdout, "32 bits\n", "stdout")


def children_are_silent():
    line = f"/bin/ls / >/dev/null; (/bin/true); {program('endings')} plain; /bin/true; exit 0"
    result = harness.run_preloaded(["/bin/bash", "-c", line], conf={"print": "exit"})
    check_table(result.stderr, "bash")
    check(len(result.children) >= 3, f"{len(result.children)} dumps of children")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "name")
        result = harness.run_preloaded(["/bin/bash", "-c", line], conf={"dump": path}, require=False)
        equal(harness.read_stats(path)["pid"], result.pid, "pid in the file without a suffix")
        for name in glob.glob(path + ".*"):
            equal(harness.read_stats(name)["pid"], int(name.rsplit(".", 1)[1]), "pid of a child's file")
        check(len(os.listdir(folder)) >= 4, os.listdir(folder))


def filtered():
    result = harness.run_preloaded([program("filtered"), "listed"], conf={"dump_signal": "USR2"})
    check(allocs_of(result.stats, "filtered!filtered_site") >= 24000, "in use")


def dumps_while_running():
    with tempfile.TemporaryDirectory() as folder:
        ending("signalled", conf={"dump": os.path.join(folder, "%n"), "dump_signal": "USR2"}, require=False)
        names = sorted(os.listdir(folder), key=int)
        equal(names, [str(number) for number in range(1, 27)], "dumps")
        last = 0
        for name in names:
            stats = harness.read_stats(os.path.join(folder, name))
            harness.check_in_use(stats, harness.default_mode())
            allocs = allocs_of(stats, "endings!endings_site")
            check(allocs >= last, f"dump {name}: {allocs} allocs, {last} in the one before")
            last = allocs


def return_addresses():
    """A type's offset is that of the instruction behind the call."""
    result = ending("plain")
    offsets = [entry["type"].split("+")[1] for entry in result.types if entry["type"].startswith("endings!endings_s")]
    text = subprocess.run(["objdump", "-d", "--disassemble=endings_site", program("endings")], capture_output=True,
                          text=True, check=True).stdout
    addresses = [int(address, 16) for address in re.findall(r"^ *([0-9a-f]+):", text, re.M)]
    call = re.search(r"^ *([0-9a-f]+):.*\s(?:call|bl)\s.*malloc", text, re.M)
    behind = min(address for address in addresses if address > int(call.group(1), 16))
    equal([int(offset, 16) for offset in offsets], [behind - addresses[0]], "offset")


def exported_names():
    """The names are there, those that must not be are not; nothing but libc is needed; there is little static TLS."""
    names = """malloc free calloc realloc reallocarray reallocf aligned_alloc memalign posix_memalign valloc pvalloc
        cfree malloc_usable_size free_sized free_aligned_sized mallinfo mallinfo2 mallopt malloc_trim malloc_stats
        malloc_info malloc_good_size nallocx sdallocx
        __libc_malloc __libc_free __libc_calloc __libc_realloc __libc_memalign
        __libc_valloc __libc_pvalloc __posix_memalign dlclose vfork clone _exit _Exit
        _Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZnamSt11align_val_t
        _ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t _ZdlPv _ZdaPv _ZdlPvRKSt9nothrow_t
        _ZdaPvRKSt9nothrow_t _ZdlPvm _ZdaPvm _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t _ZdlPvmSt11align_val_t
        _ZdaPvmSt11align_val_t _ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t""".split()
    text = subprocess.run(["nm", "-D", "--defined-only", harness.library()], capture_output=True, text=True,
                          check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in text.splitlines()}
    equal(sorted(set(names) - exported), [], "names left out")
    for never in ("strdup", "strndup", "memalignment", "__malloc_hook", "__free_hook", "__realloc_hook"):
        check(never not in exported, f"{never} is exported")
    text = subprocess.run(["readelf", "-dlW", harness.library()], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", text))
    check(needed <= {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}, f"NEEDED: {needed}")
    sizes = [int(line.split()[5], 16) for line in text.splitlines() if line.split()[:1] == ["TLS"]]
    check(sum(sizes) <= 64, f"static TLS: {sizes}")
    text = subprocess.run(["nm", "-D", "--undefined-only", harness.library()], capture_output=True, text=True,
                          check=True).stdout
    check("__tls_get_addr" not in text, "uses __tls_get_addr")


harness.main(underscore_exit, underscore_exit_in_handler, underscore_exit_unsafe, underscore_exit_in_threads,
             quick_exit, exit_with_threads, last_thread, exec_with_threads, spawns, closes_stderr, takes_all_descriptors, started_closed, full_disk, linked_name, unwritable_path, small_disk, read_only_disk,
             no_proc, no_shared_memory, broken_pipe, file_size_limit, few_descriptors, unlimited_stack, fixed_addresses,
             secure, static_child, musl_child, other_class_child, children_are_silent, filtered, dumps_while_running, return_addresses, exported_names)
