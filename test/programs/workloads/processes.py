# SPDX-License-Identifier: BSD-2-Clause
"""multiprocessing by fork (also out of a process with threads), spawn and forkserver; a shared manager too."""
import hashlib
import multiprocessing
import sys
import threading


def digest(n):
    parts = [hashlib.sha256(bytes([n % 256]) * size).hexdigest() for size in range(1, 4000, 37)]
    return n, hashlib.sha256("".join(parts).encode()).hexdigest(), len({p: [p] * 3 for p in parts})


def fill(shared, n):
    shared[n] = "x" * n


def busy(stop):
    while not stop.is_set():
        blocks = [bytearray(n) for n in range(0, 60000, 999)]
        del blocks


def main(rounds):
    stop = threading.Event()
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        others = [threading.Thread(target=busy, args=(stop,)) for _ in range(2 if method == "fork" else 0)]
        for thread in others:
            thread.start()
        pool = context.Pool(4)
        results = pool.map(digest, range(40 * rounds), chunksize=3)
        pool.close()  # not terminate(): a worker killed while it holds a lock of the pool leaves that locked
        pool.join()
        stop.set()
        for thread in others:
            thread.join()
        print(method, len(results), hashlib.sha256(repr(results).encode()).hexdigest())
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        children = [multiprocessing.Process(target=fill, args=(shared, n)) for n in range(8)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        print(sorted((k, len(v)) for k, v in shared.items()), [c.exitcode for c in children])


if __name__ == "__main__":
    main(int(sys.argv[1]))
