# SPDX-License-Identifier: BSD-2-Clause
"""Threads that hand blocks to each other: what one makes another one frees."""
import hashlib
import queue
import sys
import threading
import zlib

rounds = int(sys.argv[1])
work = queue.Queue(maxsize=64)
results = []
lock = threading.Lock()


def make(seed):
    for n in range(300 * rounds):
        work.put(bytes([(seed + n) % 256]) * (1 + (n * 7919 + seed * 31) % 70000))


def take():
    while True:
        block = work.get()
        if block is None:
            return
        packed = zlib.compress(block, 1)
        assert zlib.decompress(packed) == block
        with lock:
            results.append(hashlib.md5(block).hexdigest())


def short(n):
    results_of_short[n] = sum(len(str(i)) for i in range(n))


makers = [threading.Thread(target=make, args=(n,)) for n in range(4)]
takers = [threading.Thread(target=take) for _ in range(4)]
for thread in makers + takers:
    thread.start()
for thread in makers:
    thread.join()
for _ in takers:
    work.put(None)
for thread in takers:
    thread.join()
# Many short lives, a few at a time.
results_of_short = {}
for start in range(0, 200 * rounds, 20):
    batch = [threading.Thread(target=short, args=(start + n,)) for n in range(20)]
    for thread in batch:
        thread.start()
    for thread in batch:
        thread.join()
print(len(results), hashlib.sha256("".join(sorted(results)).encode()).hexdigest(), sum(results_of_short.values()))
