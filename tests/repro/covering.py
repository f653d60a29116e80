#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pairwise covering array: rows in which any two values of any two factors meet.

Usage: covering.py NAME=value,value... ; prints a row a line, values in the order given.
Greedy: each row begins with a pair not met yet and takes, factor by factor, the value that
meets most pairs that are still open.  Deterministic; every pair is checked at the end.
"""
import itertools
import sys


def pairs_of(row):
    return {(i, row[i], j, row[j]) for i, j in itertools.combinations(range(len(row)), 2)}


def next_row(factors, todo):
    i, a, j, b = min(todo)
    row = [None] * len(factors)
    row[i], row[j] = a, b
    for f, values in enumerate(factors):
        if row[f] is not None:
            continue
        fixed = [(g, v) for g, v in enumerate(row) if v is not None]

        def met(v, f=f, fixed=fixed):
            return sum(((g, w, f, v) if g < f else (f, v, g, w)) in todo for g, w in fixed)

        row[f] = max(values, key=met)
    return row


def main():
    factors = [a.split("=", 1)[1].split(",") for a in sys.argv[1:]]
    every = {(i, a, j, b)
             for i, j in itertools.combinations(range(len(factors)), 2)
             for a in factors[i] for b in factors[j]}
    rows, todo = [], set(every)
    while todo:
        row = next_row(factors, todo)
        rows.append(row)
        todo -= pairs_of(row)
    assert every == set().union(*map(pairs_of, rows))
    for row in sorted(rows):
        print(*row)


main()
