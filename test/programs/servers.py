# SPDX-License-Identifier: BSD-2-Clause
"""nginx under load and openssl (files, keys and a TLS server); both listen on sockets in the session's folder."""
import gzip
import http.client
import re
import signal
import socket
import ssl
import threading
import time

from cases import case

NGINX = """
daemon off; worker_processes 2; pid {tmp}/nginx.pid; error_log stderr warn; {user}
events {{ worker_connections 256; }}
http {{
  access_log {tmp}/access.log; client_body_temp_path {tmp}/t1; proxy_temp_path {tmp}/t2; fastcgi_temp_path {tmp}/t3;
  uwsgi_temp_path {tmp}/t4; scgi_temp_path {tmp}/t5; default_type text/plain; keepalive_requests 50;
  gzip on; gzip_types text/plain; gzip_min_length 100;
  ssl_certificate {tmp}/cert.pem; ssl_certificate_key {tmp}/key.pem;
  server {{ listen unix:{tmp}/plain.sock; listen unix:{tmp}/tls.sock ssl; root {tmp}/www;
    location /echo {{ return 200 "$request_method $arg_a $http_x_long\\n"; }}
    location /proxy/ {{ proxy_pass http://unix:{tmp}/plain.sock:/; }}
    location /missing {{ return 404; }} }}
}}
"""


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a unix socket, with TLS when a context is given."""

    def __init__(self, path, context=None):
        super().__init__("localhost", timeout=60)
        self.path = str(path)
        self.context = context

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)
        if self.context:
            self.sock = self.context.wrap_socket(self.sock, server_hostname="localhost")


def answers(path):
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
        return True
    except OSError:
        return False


def make_certificate(s, run):
    run([s.program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", s.tmp / "key.pem",
         "-out", s.tmp / "cert.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"],
        allocs=1000)


def request(connection, target, headers, want):
    """A server may close a kept connection while we ask on it (it does when it is told to reload): then ask again."""
    for attempt in range(2):
        try:
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
            break
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            connection.close()
            if attempt:
                raise
    body = answer.read()
    if answer.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    assert answer.status == want[0] and want[1] in (None, body), f"{target}: {answer.status}, {len(body)} bytes"


def client(s, bodies, context, rounds, errors):
    """One client's requests, on connections that are kept and on new ones."""
    try:
        for turn in range(rounds):
            connection = UnixConnection(s.tmp / ("tls.sock" if context else "plain.sock"), context)
            for number, body in enumerate(bodies):
                headers = {"Accept-Encoding": "gzip"} if (turn + number) % 2 else {}
                request(connection, f"/file{number}", headers, (200, body))
                request(connection, f"/proxy/file{number}", headers, (200, body))
            long = "y" * 3000
            request(connection, f"/echo?a={turn}", {"X-Long": long}, (200, f"GET {turn} {long}\n".encode()))
            request(connection, "/missing", {}, (404, None))
            connection.close()
    except Exception as error:  # told to the main thread
        errors.append(error)


def workers(master):
    with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as children:
        return set(children.read().split())


@case("nginx")
def nginx(s):
    make_certificate(s, s.run_plain)
    bodies = [b"".join(b"%d line %d\n" % (n * k, n) for n in range(k * k * 40 + 1)) for k in range(8)]
    for number, body in enumerate(bodies):
        s.write(f"www/file{number}", body)
    user = s.unprivileged()
    config = s.write("nginx.conf", NGINX.format(tmp=s.tmp, user=f"user {user.pw_name} nogroup;" if user else ""))
    s.tmp.chmod(0o777)
    s.run([s.program("nginx"), "-t", "-q", "-p", s.tmp, "-c", config], allocs=200)
    server = s.start([s.program("nginx"), "-p", s.tmp, "-c", config])
    server.wait_for(lambda: answers(s.tmp / "tls.sock"), "socket")
    context = ssl.create_default_context(cafile=str(s.tmp / "cert.pem"))
    errors = []
    clients = [threading.Thread(target=client, args=(s, bodies, context if n % 2 else None, 12 * s.scale, errors))
               for n in range(6)]
    for thread in clients:
        thread.start()
    time.sleep(0.1)
    first = workers(server.proc.pid)
    server.proc.send_signal(signal.SIGHUP)  # new workers, and the old ones end when they are idle
    for thread in clients:
        thread.join()
    # On a fast machine the clients may end before the signal has come to anything.
    server.wait_for(lambda: workers(server.proc.pid) and not workers(server.proc.pid) & first, "new workers alone")
    s.check(not errors, f"clients: {errors}")
    server.finish(signal.SIGQUIT, allocs=200)
    # Counted at the end: a worker writes a line after the client has the last byte.
    requests = (s.tmp / "access.log").read_bytes().count(b"\n")
    s.equal(requests, 6 * 12 * s.scale * (3 * len(bodies) + 2), "the lines of the access log")
    s.used_by("nginx", processes=6, allocs=100)  # the test of the file, the master, two generations of workers


def tls_server(s):
    count = 20 * s.scale
    server = s.start([s.program("openssl"), "s_server", "-accept", "127.0.0.1:0", "-key", s.tmp / "key.pem",
                      "-cert", s.tmp / "cert.pem", "-www", "-naccept", str(count + 1)])
    accept = lambda: re.search(rb"ACCEPT 127.0.0.1:(\d+)", server.files[0].read_bytes())
    server.wait_for(accept, "port")
    port = int(accept().group(1))
    context = ssl.create_default_context(cafile=str(s.tmp / "cert.pem"))
    for number in range(count):
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if number % 2 else ssl.TLSVersion.TLSv1_2
        connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
        connection.request("GET", "/")
        page = connection.getresponse().read()
        s.check(b"s_server" in page and b"Ciphers" in page, f"page {number}: {page[:200]!r}")
        connection.close()
    done = s.run([s.program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", s.tmp / "cert.pem",
                  "-verify_return_error", "-ign_eof"], input=b"GET / HTTP/1.0\r\n\r\n", allocs=1000)
    s.check(b"Verify return code: 0 (ok)" in done.stdout, f"s_client: {done.stdout[-1500:]!r}")
    server.finish(sig=0, allocs=10000)


@case("openssl")
def openssl(s):
    program = s.program("openssl")
    data = s.write("data", bytes((n * n + n // 255) % 256 for n in range(300000 * s.scale)))
    for digest in ("sha256", "sha3-512", "blake2b512", "md5"):
        s.same([program, "dgst", f"-{digest}", data], allocs=1000)
    s.equal(s.run([program, "dgst", "-sha256", "-r"], input=b"abc").stdout.split()[0],
            b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "the digest of abc")
    s.same([program, "list", "-public-key-algorithms"], allocs=1000)
    s.same([program, "prime", "-hex", "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD1"], allocs=1000)
    secret = ["-K", "00112233445566778899aabbccddeeff", "-iv", "0" * 32]
    for cipher in ("-aes-128-cbc", "-camellia-128-ctr"):
        packed, again = s.tmp / "packed", s.tmp / "again"
        s.run([program, "enc", cipher, *secret, "-in", data, "-out", packed])
        want = s.run_plain([program, "enc", cipher, *secret, "-in", data]).stdout
        s.equal(packed.read_bytes(), want, f"enc {cipher}")
        s.run([program, "enc", "-d", cipher, *secret, "-in", packed, "-out", again])
        s.equal(again.read_bytes(), data.read_bytes(), f"enc -d {cipher}")
    for kind in (["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
                 ["ED25519"]):
        key, signature = s.tmp / "sign.key", s.tmp / "signature"
        s.run([program, "genpkey", "-quiet", "-algorithm", *kind, "-out", key], allocs=1000)
        s.run([program, "pkey", "-in", key, "-pubout", "-out", s.tmp / "sign.pub"], allocs=1000)
        raw = ["-rawin"] if kind[0] == "ED25519" else ["-rawin", "-digest", "sha256"]
        small = s.write("small", data.read_bytes()[:4000])
        s.run([program, "pkeyutl", "-sign", *raw, "-inkey", key, "-in", small, "-out", signature], allocs=1000)
        done = s.run([program, "pkeyutl", "-verify", *raw, "-pubin", "-inkey", s.tmp / "sign.pub", "-in", small,
                      "-sigfile", signature])
        s.check(b"Signature Verified Successfully" in done.stdout, f"verify {kind[0]}: {done.stdout!r}")
    make_certificate(s, s.run)
    s.same([program, "x509", "-in", s.tmp / "cert.pem", "-noout", "-text"], allocs=1000)
    s.run([program, "speed", "-seconds", "1", "-multi", "2", "-evp", "aes-128-gcm"], timeout=60)
    tls_server(s)
