# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/performance.md, written between markers from bench/results.

`<!-- figures: train -->` ... `<!-- end -->` holds the figures of a group: for each figure
the newest result that has a value, with a link to its file.
"""
import glob
import json
import os
import re
import sys

from . import figures
from .report import bound, number

MARK = re.compile(r"(<!-- figures: (\w+) -->\n)(.*?)(<!-- end -->)", re.S)


def newest(root):
    """{figure name: (its record, file name, the file's object)}, the newest with a value."""
    out = {}
    files = []
    for path in glob.glob(os.path.join(root, "bench", "results", "*.json")):
        with open(path, encoding="utf-8") as f:
            content = json.load(f)
        if content.get("format") == "smelt-bench/1":
            files.append((content["date"], path, content))
    for _, path, content in sorted(files, key=lambda x: x[:2]):
        for record in content["figures"]:
            if record["value"] is not None or record["name"] not in out:
                out[record["name"]] = (record, os.path.basename(path), content)
    return out


def table(group, found):
    lines = ["| figure | value | must (goal) | spread | n | measured |",
             "|---|---|---|---|---|---|"]
    for f in figures.FIGURES:
        if f.group != group:
            continue
        if f.name not in found:
            lines.append(f"| `{f.name}`: {f.what} | not measured | {bound(f)} | | | |")
            continue
        r, file, content = found[f.name]
        value = "-" if r["value"] is None else f"**{number(r['value'])}** {f.unit}"
        if r["pass"] is False:
            value += " (missed)"
        where = f"[{content['date'][:10]}](../bench/results/{file})"
        note = f"; {r['note']}" if r.get("note") else ""
        lines.append(f"| `{f.name}`: {f.what} | {value} | {bound(f)} | "
                     f"{number(r['spread'])} | {r['n']} | {where}{note} |")
    return "\n".join(lines) + "\n"


def update(root, check):
    path = os.path.join(root, "docs", "performance.md")
    with open(path, encoding="utf-8") as f:
        old = f.read()
    found = newest(root)
    new = MARK.sub(lambda m: m.group(1) + table(m.group(2), found) + m.group(4), old)
    if new == old:
        return 0
    if check:
        print("docs/performance.md: tables differ from bench/results; run bench/run --docs",
              file=sys.stderr)
        return 1
    with open(path, "w", encoding="utf-8") as f:
        f.write(new)
    return 0
