# SPDX-License-Identifier: BSD-2-Clause
"""Prints a hard formula for z3: choices between linear inequalities with long decimal coefficients, so that its simplex
works with big rationals."""
import random

VARIABLES = 14
CHOICES = 20


def term(source):
    chosen = source.sample(range(VARIABLES), 7)
    return " ".join(f"(* {source.randrange(1, 99999)}.{source.randrange(999)} x{i})" for i in chosen)


def main():
    source = random.Random(7)
    print("(set-logic QF_LRA)")
    for i in range(VARIABLES):
        print(f"(declare-fun x{i} () Real)(assert (and (< x{i} 100.0) (> x{i} (- 100.0))))")
    for i in range(CHOICES):
        left, right = term(source), term(source)
        low, high = source.randrange(1, 3000), source.randrange(1, 3000)
        print(f"(assert (or (< (+ {left}) (- (+ {right}) {low}.0))"
              f" (> (+ {right}) (+ (+ {left}) x{i % VARIABLES} {high}.0))))")
    print("(check-sat)")


main()
