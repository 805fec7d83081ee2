#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""programs_test.py MODE: in real programs no large type is named after an allocation wrapper, and none holds too much.

The names of wrappers are a list of its own: what people who know these programs would not want to read."""
import os
import re
import subprocess
import sys
import tempfile

import harness

WRAPPERS = re.compile(
    r"(x(m|c|re)alloc|xmallocz|x2n?realloc|xstrn?dup|xmemdup|sh_x(m|re)alloc|(sh_)?x?strdup|savestring|"
    r"Perl_safesys\w+|Perl_(sv_grow|savepvn?|savesvpv)|"
    r"sqlite3_?\w*(Malloc|Realloc|malloc|realloc)(64|Raw|Zero|RawNN|NN)?|sqlite3DbStrN?Dup|sqlite3_str_append\w*|"
    r"_?Py(Mem|Object)_(Raw)?(Malloc|Calloc|Realloc|New|Strdup|RawMalloc)|_PyObject_GC_(New|NewVar|Malloc|Alloc)|"
    r"PyType_GenericAlloc|z(try)?(m|c|re)alloc(_usable)?|zstrdup|sdsnewlen|_sdsnewlen|sdsMakeRoomFor|"
    r"je_\w*alloc|ggc_\w*alloc\w*|htab_create\w*|obstack_\w+|_obstack_\w+|xcalloc|concat|"
    r"(try)?[cC]reate(Embedded|Raw)?StringObject|g_(try_)?(m|re)alloc\w*|g_slice_(alloc|copy)\w*|g_(strn?dup|strconcat|"
    r"memdup2?|strdup_v?printf)|CRYPTO_(m|z|c?re)alloc\w*|CRYPTO_\w*dup|OPENSSL_(sk|LH)_insert|"
    r"_ZN4node\w*(Malloc|Realloc|Calloc|AllocateUninitialized)\w*|_ZN2v88internal\w*(AllocWithRetry|Malloced)\w*|"
    r"(__)?(m|c|re)alloc|(__)?str(n)?dup|(__)?getdelim|(__)?v?asprintf|"
    r"_Zn[wa].*|operator new.*|_ZNSt(7__cxx1112basic_string|6vector|12_Vector_base|15__new_allocator).*|"
    r"std::(__cxx11::)?basic_string.*|std::vector<.*|_ZN3vecI.*|_ZN10hash_tableI.*)(\.(part|constprop|isra)\.\d+)*")
TOP = 20

BASH = """declare -A map; items=()
area() { local w=$1 h=$2; result=$((w * h)); }
for ((i = 0; i < 3000; i++)); do items+=("item $i"); map[key$i]="${items[i]} and $i"; area $i 7; done
for name in "${!map[@]}"; do text="${map[$name]/item/thing}"; set -- $text; done"""
PERL = """my (%h, @a); for my $i (1 .. 8000) { $h{"key$i"} = "value $i"; push @a, [ $i, { name => "n$i" } ]; }
my $text = join(",", map { uc } sort keys %h); my @words = split /,/, $text; s/(\\d+)/<$1>/g for @words;"""
SQL = """create table t (a integer primary key, b text, c real); create index i on t (b);
with recursive n (x) as (select 1 union all select x + 1 from n where x < 3000)
insert into t select x, 'text ' || x, x * 1.5 from n;
""" + "".join(f"select b, upper(b) || '{n}', avg(c) from t where a % {n + 2} = 1 group by b limit 3;\n"
              for n in range(60))
PYTHON = """import json, collections
rows = [{"name": f"row {i}", "value": [i, str(i) * 3]} for i in range(4000)]
text = json.dumps(rows); again = json.loads(text)
count = collections.Counter(word for row in again for word in row["name"].split())
class Item:
    def __init__(self, n): self.n = n; self.parts = (n, n + 1)
items = sorted([Item(i * 7919 % 1000) for i in range(4000)], key=lambda item: item.n)"""
CPP = """#include <algorithm>
#include <map>
#include <string>
#include <vector>
std::map<std::string, std::vector<int>> all;
int sum(const std::string &name) {
  int n = 0;
  for (int i : all[name]) n += i;
  std::sort(all[name].begin(), all[name].end());
  return n;
}
"""


CMAKE = """set(names "")
foreach(i RANGE 400)
  list(APPEND names "target_${i}")
  string(REPLACE "_" "-" dashed "target_${i}")
  string(TOUPPER "${dashed}" upper)
  set(path_${i} "/usr/lib/${upper}.so")
  set_property(GLOBAL PROPERTY prop_${i} "${upper};${dashed}")
endforeach()
function(visit name)
  string(REGEX MATCH "[0-9]+" number "${name}")
  math(EXPR twice "${number} * 2")
  get_filename_component(base "${path_${number}}" NAME_WE)
  get_property(value GLOBAL PROPERTY prop_${number})
  list(LENGTH value length)
  if(twice GREATER 300 AND base MATCHES "TARGET")
    set(found_${name} "${base}" PARENT_SCOPE)
  endif()
endfunction()
foreach(name IN LISTS names)
  visit(${name})
endforeach()
list(SORT names)
list(REMOVE_DUPLICATES names)
string(JOIN "," text ${names})
string(SHA256 hash "${text}")
file(GLOB headers "/usr/include/*.h")
"""
NODE = """const parts = [], zlib = require('zlib'), url = require('url');
for (let i = 0; i < 3000; i++) {
  const b = Buffer.alloc(5000 + i % 700, 'x' + i); parts.push(b.toString('hex').length, Buffer.concat([b, b]).length);
  new url.URL('http://host' + i + '.example/path?x=' + i).searchParams.get('x');
  if (i % 30 === 0) zlib.inflateSync(zlib.deflateSync(b));
}
const re = []; for (let i = 0; i < 300; i++) { re.push(new RegExp('a+(b|c' + i + ')*d').exec('aab' + i)); eval('(x => x + ' + i + ')(1)'); }
JSON.parse(JSON.stringify(Array.from({length: 3000}, (_, i) => ({i, s: 's' + i}))));"""


def judge(program, stats, percent, least):
    """What is wrong with the types of one process."""
    types = sorted(stats["types"], key=lambda entry: -entry["numallocs"])
    total = sum(entry["numallocs"] for entry in types)
    wrong = []
    if total < least:
        wrong.append(f"only {total} allocations")
    biggest = types[0]["numallocs"] * 100 / total
    print(f"{program}: {total} allocations, {len(types)} types, the biggest {biggest:.1f}%: {types[0]['type']}",
          flush=True)
    if biggest >= percent:
        wrong.append(f"{types[0]['type']} has {biggest:.1f}% of {total} allocations, {percent}% are too many")
    for entry in types[:TOP]:
        name = entry["type"].partition("!")[2].rsplit("+0x", 1)[0]
        if WRAPPERS.fullmatch(name):
            wrong.append(f"{entry['type']} ({entry['numallocs']} allocations) is a wrapper")
    return [f"{program}: {text}" for text in wrong]


def git_repository(folder):
    """A repository of a few hundred commits, read in by one process."""
    subprocess.run(["git", "init", "-q", folder], check=True)
    stream = []
    for n in range(400):
        message, content = f"commit {n} says something", f"line {n}\n" * (n % 20 + 1)
        stream.append(f"commit refs/heads/main\ncommitter A B <a@b.c> {1600000000 + n} +0000\n"
                      f"data {len(message)}\n{message}\nM 644 inline file{n % 13}\ndata {len(content)}\n{content}\n")
    subprocess.run(["git", "-C", folder, "fast-import", "--quiet"], input="".join(stream), text=True, check=True)
    return ["git", "--no-pager", "-C", folder, "log", "--stat", "main"]


def compare_chains(program, own, run):
    """What is wrong with the number of types, beside those that chains of 2 and of 4 frames give."""
    short, long = (len(run(depth)["types"]) for depth in (2, 4))
    print(f"{program}: {len(own['types'])} types, {short} chains of 2 frames, {long} of 4", flush=True)
    if short / 3 <= len(own["types"]) <= 3 * long:
        return []
    return [f"{program}: {len(own['types'])} types, where chains of 2 to 4 frames give {short} to {long}"]


def tree_of_files(folder):
    """A folder for `gio tree`."""
    for n in range(60):
        os.makedirs(os.path.join(folder, f"part {n}"))
        for i in range(12):
            with open(os.path.join(folder, f"part {n}", f"file {i}.txt"), "w", encoding="ascii") as file:
                file.write("text\n" * i)
    return ["gio", "tree", "--hidden", folder]


def redis(mode, conf=None):
    port = harness.free_port()
    with tempfile.TemporaryDirectory() as folder:
        argv = [harness.find_program("redis-server"), "--port", port, "--save", "", "--dir", folder, "--logfile",
                "log"]
        client = [harness.find_program("redis-cli"), "-p", str(port)]

        def ready():
            done = subprocess.run(client + ["ping"], capture_output=True, text=True, check=False)
            return "PONG" in done.stdout

        commands = "".join(f"set key{n} {'v' * (n % 90)}\nhset hash{n % 50} field{n} {n}\nrpush list{n % 20} item{n}\n"
                           f"zadd set{n % 9} {n} member{n}\n" for n in range(4000))
        with harness.background(argv, ready, mode=mode, conf=conf) as result:
            subprocess.run(client, input=commands, text=True, stdout=subprocess.DEVNULL, check=True)
        return result.stats


def cases(folder):
    """Name, how much the biggest type may have, allocations that there are at least, command, environment."""
    cmake = os.path.join(folder, "load.cmake")
    with open(cmake, "w", encoding="ascii") as file:
        file.write(CMAKE)
    return [("bash", 35, 20000, ["bash", "-c", BASH], {}),
            ("perl", 40, 20000, ["perl", "-e", PERL], {}),
            ("sqlite3", 40, 5000, ["sqlite3", ":memory:", SQL], {}),
            ("python3", 45, 20000, ["/usr/bin/python3", "-c", PYTHON], {"PYTHONMALLOC": "malloc"}),
            ("git", 45, 1000, git_repository(os.path.join(folder, "repository")), {"HOME": folder}),
            ("cmake", 45, 20000, ["cmake", "-P", cmake], {}),
            ("node", 45, 5000, ["node", "-e", NODE], {}),
            ("gio", 45, 5000, tree_of_files(os.path.join(folder, "files")), {"HOME": folder})]


def compile_by(folder, mode):
    """A function that runs a compiler and returns the statistics of cc1plus."""
    source = os.path.join(folder, "medium.cc")
    with open(source, "w", encoding="ascii") as file:
        file.write(CPP)
    argv = [harness.find_program("g++"), "-c", "-O1", source, "-o", os.path.join(folder, "medium.o")]

    def run(conf):
        result = harness.run_preloaded(argv, mode=mode, conf=conf)
        compilers = [stats for stats in result.children if os.path.basename(stats["program"]) == "cc1plus"]
        harness.equal(len(compilers), 1, "dumps of cc1plus")
        harness.check_in_use(compilers[0], mode)
        return compilers[0]
    return run


def main():
    mode, wrong = sys.argv[1], []
    with tempfile.TemporaryDirectory() as folder:
        todo = []
        for name, percent, least, argv, env in cases(folder):
            argv = [harness.find_program(argv[0])] + argv[1:]

            def run(conf, argv=argv, env=env):
                return harness.run_preloaded(argv, mode=mode, conf=conf, env=env).stats
            todo.append((name, percent, least, run))
        todo.append(("cc1plus", 20, 20000, compile_by(folder, mode)))
        todo.append(("redis-server", 45, 10000, lambda conf: redis(mode, conf)))
        for name, percent, least, run in todo:
            stats = run({})
            wrong += judge(name, stats, percent, least)
            if mode == "rseq":
                wrong += compare_chains(name, stats, lambda depth, run=run: run({"stack": depth}))
    harness.check(not wrong, "\n".join(wrong))


if __name__ == "__main__":
    try:
        main()
    except harness.Failed as failure:
        sys.exit(f"FAILED: {failure}")
