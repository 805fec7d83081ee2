# SPDX-License-Identifier: BSD-2-Clause
"""sqlite3, redis (Debian's is linked with libjemalloc, and the preload must win), postgresql with pgbench."""
import glob
import pwd
import signal
import threading

from cases import case

SQL = """
PRAGMA cache_size = -2000;
CREATE TABLE account(id INTEGER PRIMARY KEY, name TEXT, balance INTEGER, note BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
  INSERT INTO account SELECT i, printf('name %06d', i * 7919 % 100003), i * 31 % 1009, zeroblob(i % 700) FROM n;
CREATE INDEX by_name ON account(name);
CREATE INDEX by_balance ON account(balance, name);
CREATE VIRTUAL TABLE words USING fts5(body);
INSERT INTO words SELECT name || ' has ' || balance || ' coins of kind ' || (id % 13) FROM account WHERE id % 5 = 0;
BEGIN;
UPDATE account SET balance = balance + 1 WHERE id % 3 = 0;
DELETE FROM account WHERE id % 11 = 0;
SAVEPOINT s; UPDATE account SET name = upper(name); ROLLBACK TO s;
COMMIT;
SELECT count(*), sum(balance), sum(length(note)), max(name) FROM account;
SELECT a.balance, count(*), group_concat(DISTINCT substr(b.name, 1, 7)) FROM account a JOIN account b ON a.name = b.name
  GROUP BY a.balance ORDER BY 2 DESC, 1 LIMIT 20;
SELECT count(*) FROM words WHERE words MATCH 'coins AND "kind 7"';
SELECT id, rank() OVER (PARTITION BY balance % 7 ORDER BY name), lag(name, 3) OVER (ORDER BY id) FROM account
  WHERE id % 97 = 0 ORDER BY id;
SELECT json_group_array(json_object('id', id, 'name', name)) FROM (SELECT * FROM account ORDER BY name LIMIT 200);
VACUUM;
PRAGMA integrity_check;
"""


@case("sqlite3")
def sqlite3(s):
    script = SQL.format(rows=20000 * s.scale).encode()
    program = s.program("sqlite3")
    want = s.run_plain([program, "-batch", s.tmp / "plain.db"], input=script)
    got = s.run([program, "-batch", s.tmp / "ours.db"], input=script, allocs=50000)
    s.equal(got.stdout, want.stdout, "sqlite3's answers")
    s.check(got.stdout.rstrip().endswith(b"ok"), "the integrity check")
    s.equal((s.tmp / "ours.db").read_bytes(), (s.tmp / "plain.db").read_bytes(), "the data base file")
    s.same([program, "-batch", s.tmp / "ours.db", ".dump"], allocs=1000)


@case("redis")
def redis(s):
    sock = s.tmp / "redis.sock"
    client = [s.program("redis-cli"), "-s", sock]

    def start():
        server = s.start([s.program("redis-server"), "--port", "0", "--unixsocket", sock, "--dir", s.tmp, "--save", "",
                          "--enable-debug-command", "yes", "--io-threads", "2", "--hz", "50", "--appendonly", "no"])
        server.wait_for(sock.exists, "socket")
        return server

    def ask(*words, run=s.run_plain):
        return run([*client, *words]).stdout.strip().decode()

    server = start()
    requests = 4000 * s.scale
    done = s.run([s.program("redis-benchmark"), "-s", sock, "-n", str(requests), "-c", "20", "-P", "4", "-d", "300",
                  "-r", "2000", "--threads", "2", "-q", "-t", "set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset"],
                 allocs=1000, timeout=240)
    s.check(done.stdout.count(b"requests per second") >= 10, f"redis-benchmark: {done.stdout[-2000:]!r}")
    script = "for i=1,5000 do redis.call('SET', 'k'..i, ('x'):rep(i % 900)) end return redis.call('STRLEN', 'k899')"
    s.equal(ask("EVAL", script, "0"), "899", "the script's answer")
    s.equal(ask("SETRANGE", "big", "30000000", "end", run=s.run), "30000003", "a big string")
    s.equal(ask("DEL", "big"), "1", "its removal")
    for command in ("DOCTOR", "STATS", "PURGE", "MALLOC-STATS"):
        s.check(ask("MEMORY", command), f"MEMORY {command} said nothing")
    memory = dict(line.split(":", 1) for line in ask("INFO", "memory").splitlines() if ":" in line)
    s.check(10**6 < int(memory["used_memory"]) < 4 * 10**9, f"used_memory is {memory['used_memory']}")
    digest = ask("DEBUG", "DIGEST")
    s.check(len(digest) == 40 and digest.strip("0"), f"digest {digest!r}")
    s.equal(ask("SAVE"), "OK", "SAVE")
    s.check("started" in ask("BGSAVE").lower(), "BGSAVE")
    server.wait_for(lambda: "rdb_bgsave_in_progress:0" in ask("INFO", "persistence"), "end of BGSAVE")
    s.check("rdb_last_bgsave_status:ok" in ask("INFO", "persistence"), "BGSAVE's status")
    s.run_plain([*client, "SHUTDOWN", "SAVE"])
    server.finish(sig=0, allocs=10000)
    server = start()  # what was written is read back
    server.wait_for(lambda: "loading:0" in ask("INFO", "persistence"), "loaded data")
    s.equal(ask("DEBUG", "DIGEST"), digest, "the digest after a restart")
    s.equal(ask("FLUSHALL"), "OK", "FLUSHALL")
    server.finish(signal.SIGTERM, allocs=5000)


class Postgres:
    """A cluster in the session's folder, owned by an unprivileged account."""

    def __init__(self, s):
        self.s = s
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.path = {name: s.program(name, folders) for name in ("initdb", "postgres", "psql", "pgbench", "pg_dump")}
        self.user = s.unprivileged()
        self.name = self.user.pw_name if self.user else pwd.getpwuid(s.tmp.stat().st_uid).pw_name
        self.home = s.tmp / "pg"
        self.home.mkdir()
        if self.user:
            for folder in (self.home, s.tmp):
                folder.chmod(0o777)
        self.connect = ["-h", self.home, "-U", self.name]

    def run(self, program, *words, run=None, **how):
        return (run or self.s.run)([self.path[program], *words], user=self.user, cwd=self.home, **how)

    def ask(self, sql, run=None, **how):
        words = ["-X", "-At", "-v", "ON_ERROR_STOP=1", *self.connect, "-d", "postgres", "-c", sql]
        done = self.run("psql", *words, run=run, **how)
        return done.stdout.strip().decode()

    def start(self):
        settings = {"listen_addresses": "", "unix_socket_directories": self.home, "fsync": "off",
                    "max_connections": "20", "shared_buffers": "16MB", "autovacuum_naptime": "1s",
                    "dynamic_shared_memory_type": "mmap"}
        words = [word for item in settings.items() for word in ("-c", f"{item[0]}={item[1]}")]
        server = self.s.start([self.path["postgres"], "-D", self.home / "data", *words], user=self.user, cwd=self.home)
        log = server.files[1]
        server.wait_for(lambda: b"ready to accept connections" in log.read_bytes(), "readiness")
        return server


@case("postgresql")
def postgresql(s):
    pg = Postgres(s)
    pg.run("initdb", "-D", pg.home / "data", "-U", pg.name, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C",
           allocs=500)
    s.used_by("postgres", processes=2, allocs=1000)  # initdb's bootstrap processes
    server = pg.start()
    pg.run("pgbench", "-i", "-q", "-s", "1", *pg.connect, "postgres")
    each = 100 * s.scale
    for protocol in ("simple", "prepared"):
        done = pg.run("pgbench", "-n", "-c", "4", "-j", "2", "-t", str(each), "-M", protocol, *pg.connect, "postgres",
                      timeout=240)
        want = f"number of transactions actually processed: {4 * each}/{4 * each}"
        s.check(want.encode() in done.stdout, f"pgbench: {done.stdout!r}")
    s.equal(pg.ask("SELECT count(*) FROM pgbench_history"), str(8 * each), "the number of transactions")
    sums = [pg.ask(f"SELECT sum({column}) FROM pgbench_{table}", run=s.run_plain) for column, table in
            (("abalance", "accounts"), ("bbalance", "branches"), ("tbalance", "tellers"), ("delta", "history"))]
    s.equal(sums, [sums[0]] * 4, "the four sums of the balances")
    # Sorts and hashes on disk, parallel workers, and the compiler of expressions (LLVM is loaded by dlopen).
    heavy = ("SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; "
             "SET min_parallel_table_scan_size = 0; SET work_mem = '256kB'; "
             "SET jit = {}; SET jit_above_cost = 0; SET jit_optimize_above_cost = 0; "
             "SELECT md5(string_agg(t, ',' ORDER BY t)), count(*) FROM (SELECT md5(a.aid::text) || count(*) AS t "
             "FROM pgbench_accounts a JOIN pgbench_accounts b ON a.aid = b.aid * 2 GROUP BY a.aid) x")
    answers = [pg.ask(heavy.format(jit), timeout=240) for jit in ("off", "on")]
    s.check(answers[0].endswith("|50000"), f"the heavy query: {answers[0][-80:]!r}")
    s.equal(answers[1], answers[0], "the query with jit")
    load(s, pg, 20 * s.scale)
    pg.ask("DO $$ BEGIN PERFORM repeat('x', 50000000); RAISE division_by_zero; "
           "EXCEPTION WHEN division_by_zero THEN NULL; END $$")
    dumped = [b"\n".join(line for line in pg.run("pg_dump", *pg.connect, "postgres", run=run, **how).stdout.split(b"\n")
                         if not line.startswith((b"\\restrict", b"\\unrestrict")))  # random words
              for run, how in ((s.run, {"allocs": 5000}), (s.run_plain, {}))]
    s.equal(dumped[0], dumped[1], "pg_dump")
    server.finish(signal.SIGINT, allocs=100)  # a fast shutdown
    s.used_by("postgres", processes=10, allocs=100)
    log = server.files[1].read_bytes()
    s.check(b"PANIC" not in log and b"terminated by signal" not in log, f"a backend died: {log[-3000:]!r}")
    server = pg.start()
    s.equal(pg.ask("SELECT count(*) FROM pgbench_history"), str(8 * each), "the transactions after a restart")
    server.finish(signal.SIGINT)


def load(s, pg, rounds):
    """Many short connections at once: backends that start and end."""
    errors = []

    def connections():
        try:
            for n in range(rounds // 4):
                sql = f"SELECT length(string_agg(i::text, ',')) FROM generate_series(1, {1000 + n}) i"
                want = str(sum(len(str(i)) for i in range(1, 1001 + n)) + 999 + n)
                s.equal(pg.ask(sql, run=s.run_plain), want, "string_agg")
        except Exception as error:  # told to the main thread
            errors.append(error)

    threads = [threading.Thread(target=connections) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
