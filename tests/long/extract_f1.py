#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Token F1 of smelt's readers against independent oracles, page by page.

man:  mandoc -T utf8, overstriking undone, first and last line (running header and footer)
      dropped.
html: tests/long/html_oracle.py, a reader over Python's html.parser with the definition of
      visible text that smelt/extract.h gives (SM_HTML_FULL).

Token: a maximal run of letters, digits and underscores (Unicode) that holds a letter or a
digit.  F1 is of the two multisets of tokens of a page; an empty page on both sides is 1.
Pages that are only a .so line, and pages the oracle refuses, are left out and counted.

usage: extract_f1.py --tool BUILD/extract_text [--kind man|html] [--cache DIR] [--worst N]
                     [--min-mean 0.98] DIR...
"""
import argparse
import collections
import gzip
import hashlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOKEN = re.compile(r"\w+")
HAS_ALNUM = re.compile(r"[^\W_]")
OVERSTRIKE = re.compile(".\x08")
MAN_NAME = re.compile(r"\.(?:[1-9][A-Za-z]*|n|l)(?:\.gz)?$")


def tokens(text):
    return collections.Counter(t for t in TOKEN.findall(text) if HAS_ALNUM.search(t))


def f1(a, b):
    common = sum((a & b).values())
    total = sum(a.values()) + sum(b.values())
    return 1.0 if total == 0 else 2.0 * common / total


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def find_pages(dirs, kind):
    for top in dirs:
        for root, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                path = os.path.join(root, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                if kind == "man" and "/man" in root and MAN_NAME.search(name):
                    yield path
                elif kind == "html" and name.endswith((".html", ".htm", ".html.gz")):
                    yield path


def only_so(data):
    lines = [l for l in data.split(b"\n") if l.strip() and not l.startswith((b'.\\"', b"'\\\""))]
    return not lines or (len(lines) == 1 and lines[0].startswith(b".so"))


def man_oracle(data):
    out = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=1000"], input=data,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    text = OVERSTRIKE.sub("", out.decode("utf-8", "replace"))
    lines = [l for l in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines[1:-1]) if len(lines) >= 2 else None


def html_oracle(data):
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import html_oracle as oracle
    return oracle.visible_text(data)


def prepare(job):
    """Unpack one page and run its oracle; both are kept in the cache."""
    path, kind, cache = job
    data = read(path)
    if kind == "man" and only_so(data):
        return path, None
    key = hashlib.sha256(data).hexdigest()[:24]
    base = os.path.basename(path)
    base = base[:-3] if base.endswith(".gz") else base
    os.makedirs(os.path.join(cache, key[:2]), exist_ok=True)
    page = os.path.join(cache, key[:2], key + "." + base)
    oracle = page + ".oracle"
    if not os.path.exists(oracle):
        text = man_oracle(data) if kind == "man" else html_oracle(data)
        with open(page, "wb") as f:
            f.write(data)
        with open(oracle, "w", encoding="utf-8", errors="replace") as f:
            f.write("\x00" if text is None else text)
    return path, page


def score(job):
    path, page = job
    with open(page + ".oracle", encoding="utf-8", errors="replace") as f:
        want = f.read()
    if want == "\x00":
        return path, page, None
    with open(page + ".text", encoding="utf-8", errors="replace") as f:
        got = f.read()
    return path, page, f1(tokens(want), tokens(got))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tool", required=True)
    p.add_argument("--kind", choices=["man", "html"], default="man")
    p.add_argument("--cache", default=os.path.join(tempfile.gettempdir(), "smelt-extract-f1"))
    p.add_argument("--worst", type=int, default=20)
    p.add_argument("--min-mean", type=float, default=0.98)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--every", type=int, default=1, help="take each N-th page")
    p.add_argument("dirs", nargs="+")
    a = p.parse_args()
    if a.kind == "man" and not shutil.which("mandoc"):
        print("skipped: mandoc is not installed")
        return 77
    cache = os.path.join(a.cache, a.kind)
    paths = list(find_pages(a.dirs, a.kind))[::a.every]
    with multiprocessing.Pool(a.jobs) as pool:
        pages = pool.map(prepare, [(x, a.kind, cache) for x in paths], chunksize=32)
        todo, seen = [], set()
        for path, page in pages:
            if page and page not in seen:
                seen.add(page)
                todo.append((path, page))
        listing = "".join("%s\t%s\n" % (page, page + ".text") for _, page in todo)
        mode = "man" if a.kind == "man" else "full"
        subprocess.run([a.tool, mode, "-"], input=listing.encode(), check=True)
        rows = pool.map(score, todo, chunksize=32)
    scored = sorted((s, path, page) for path, page, s in rows if s is not None)
    if not scored:
        print("skipped: no %s pages below %s" % (a.kind, " ".join(a.dirs)))
        return 77
    mean = sum(s for s, _, _ in scored) / len(scored)
    below = sum(s < 0.98 for s, _, _ in scored)
    print("kind %s: %d files, %d distinct pages scored, %d refused by the oracle" %
          (a.kind, len(paths), len(scored), len(rows) - len(scored)))
    print("mean F1 %.5f, median %.5f, below 0.98: %d (%.2f %%), below 0.90: %d" %
          (mean, scored[len(scored) // 2][0], below, 100.0 * below / len(scored),
           sum(s < 0.90 for s, _, _ in scored)))
    for s, path, page in scored[:a.worst]:
        print("%.4f %s %s" % (s, path, page))
    return 0 if mean >= a.min_mean else 1


if __name__ == "__main__":
    sys.exit(main())
