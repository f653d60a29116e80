#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well SM_HTML_MAIN finds the main content, on two public sets of pages.

trafilatura: strings that must and must not be in the extracted text (evaldata.json);
             accuracy, precision, recall over all strings, blanks ignored.
readability: token F1 against the visible text of each expected.html.

usage: extract_main.py --tool BUILD/extract_text --data DIR [--worst N]
DIR holds web-trafilatura and web-readability; a set that is absent is skipped with a line.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from extract_f1 import f1, read, tokens  # noqa: E402
from html_oracle import visible_text  # noqa: E402


def extract(tool, mode, paths):
    with tempfile.TemporaryDirectory() as tmp:
        out = [os.path.join(tmp, "%d.txt" % i) for i in range(len(paths))]
        listing = "".join("%s\t%s\n" % x for x in zip(paths, out))
        subprocess.run([tool, mode, "-"], input=listing.encode(), check=True,
                       stderr=subprocess.DEVNULL)
        return [open(o, encoding="utf-8").read() for o in out]


def squeeze(s):
    return re.sub(r"\s+", "", s)


def trafilatura(a):
    top = os.path.join(a.data, "web-trafilatura")
    if not os.path.isdir(top):
        print("skipped: web-trafilatura is not there")
        return
    with open(os.path.join(top, "evaldata.json"), encoding="utf-8") as f:
        want = {v["file"]: v for v in json.load(f).values()}
    files = {}
    for sub in ("cache", "eval"):
        for name in sorted(os.listdir(os.path.join(top, sub))):
            if name in want:
                files[name] = os.path.join(top, sub, name)
    for mode in ("html", "full"):
        tp = fn = fp = tn = 0
        rows = []
        for name, text in zip(files, extract(a.tool, mode, list(files.values()))):
            flat = squeeze(text)
            hit = sum(squeeze(s) in flat for s in want[name]["with"])
            bad = sum(squeeze(s) in flat for s in want[name]["without"])
            tp, fn = tp + hit, fn + len(want[name]["with"]) - hit
            fp, tn = fp + bad, tn + len(want[name]["without"]) - bad
            rows.append((hit - bad - len(want[name]["with"]), name))
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        print("trafilatura %s: %d pages, accuracy %.3f precision %.3f recall %.3f F1 %.3f" %
              (mode, len(files), (tp + tn) / (tp + tn + fp + fn), precision, recall,
               2 * precision * recall / (precision + recall)))
        for row in sorted(rows)[:a.worst if mode == "html" else 0]:
            print("  %d %s" % row)


def readability(a):
    top = os.path.join(a.data, "web-readability")
    if not os.path.isdir(top):
        print("skipped: web-readability is not there")
        return
    names = [n for n in sorted(os.listdir(top))
             if os.path.exists(os.path.join(top, n, "expected.html"))]
    sources = [os.path.join(top, n, "source.html") for n in names]
    want = [tokens(visible_text(read(os.path.join(top, n, "expected.html")))) for n in names]
    for mode in ("html", "full"):
        scores = sorted((f1(w, tokens(t)), n)
                        for w, t, n in zip(want, extract(a.tool, mode, sources), names))
        print("readability %s: %d pages, mean token F1 %.3f, median %.3f" %
              (mode, len(names), sum(s for s, _ in scores) / len(scores),
               scores[len(scores) // 2][0]))
        for row in scores[:a.worst if mode == "html" else 0]:
            print("  %.3f %s" % row)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tool", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--worst", type=int, default=0)
    a = p.parse_args()
    trafilatura(a)
    readability(a)


if __name__ == "__main__":
    main()
