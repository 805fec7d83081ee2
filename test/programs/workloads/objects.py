# SPDX-License-Identifier: BSD-2-Clause
"""Objects of many sizes and lives; prints digests that only depend on the argument."""
import collections
import decimal
import hashlib
import json
import re
import sys
import zlib


def words(count):
    state = 12345
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        yield "".join(chr(97 + (state >> s) % 26) for s in range(0, 4 + state % 20))


def main(rounds):
    digest = hashlib.sha256()
    for turn in range(rounds):
        table = collections.defaultdict(list)
        for number, word in enumerate(words(8000)):
            table[word[:3]].append({"word": word, "n": number, "pair": [word, number * turn]})
        text = json.dumps(table, sort_keys=True)
        assert json.loads(text) == table
        digest.update(text.encode())
        digest.update(zlib.compress(text.encode(), 6))
        assert zlib.decompress(zlib.compress(text.encode())) == text.encode()
        digest.update(str(len(re.findall(r"\b[a-m]+[n-z]\b", text))).encode())
        kept = [bytearray(n % 5000) for n in range(3000)]
        for block in kept[::2]:
            block.extend(b"x" * (len(block) + 7))
        digest.update(str(sum(map(len, kept))).encode())
        del kept[::3]
        # Big blocks that grow, which the C library's realloc serves.
        grown = bytearray()
        while len(grown) < 3_000_000:
            grown += b"0123456789abcdef" * 4096
        digest.update(grown)
    decimal.getcontext().prec = 400
    print(digest.hexdigest(), decimal.Decimal(2).sqrt())


main(int(sys.argv[1]))
