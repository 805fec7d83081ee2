# SPDX-License-Identifier: BSD-2-Clause
"""CPU-bound Python: expressions are made, simplified and printed, words are counted, records sorted."""
import collections
import random


class Node:
    __slots__ = ("kind", "left", "right", "value")

    def __init__(self, kind, left=None, right=None, value=0):
        self.kind, self.left, self.right, self.value = kind, left, right, value


def make(source, depth):
    if depth == 0 or source.random() < 0.1:
        return Node("number", value=source.randrange(100000))
    return Node(source.choice("+*-"), make(source, depth - 1), make(source, depth - 1))


def simplify(node):
    if node.kind == "number":
        return Node("number", value=node.value)
    left, right = simplify(node.left), simplify(node.right)
    if left.kind == right.kind == "number" and (left.value + right.value) % 3:
        value = {"+": left.value + right.value, "-": left.value - right.value, "*": left.value * right.value}[node.kind]
        return Node("number", value=value % 1000003)
    return Node(node.kind, left, right)


def show(node):
    if node.kind == "number":
        return str(node.value)
    return f"({show(node.left)} {node.kind} {show(node.right)})"


def main():
    source = random.Random(1)
    words = collections.Counter()
    for _ in range(24):
        text = show(simplify(make(source, 11)))
        words.update(word.strip("()") for word in text.split())
    records = [{"id": i, "name": f"name-{source.randrange(10000)}", "tags": [str(i % 7), str(i % 11)]} for i in range(60000)]
    records.sort(key=lambda r: (r["name"], r["id"]))
    groups = collections.defaultdict(list)
    for record in records:
        groups[record["name"][:7]].append(tuple(record["tags"]))
    print(len(words), sum(words.values()), len(groups), records[1000]["name"])


main()
