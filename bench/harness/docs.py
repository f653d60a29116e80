# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/performance.md and README.md, written between markers from bench/results.

`<!-- figures: train -->` ... `<!-- end -->` holds the figures of a group: for each figure
and machine the newest result that has a value, with a link to its file.
`<!-- roofline: dense32m -->` holds the newest table of operations of a shape,
`<!-- loss: dense -->` the newest comparison of losses, `<!-- demo: figures -->` and
`<!-- demo: compare -->` the newest demo.
"""
import glob
import json
import os
import re
import sys

from . import demo, figures, machine, roofline
from .report import bound, number

MARK = re.compile(r"(<!-- (figures|roofline|loss|demo): (\w+) -->\n)(.*?)(<!-- end -->)", re.S)


def results(root, kind):
    """[(file name, object)] of a format, the oldest first."""
    out = []
    for path in glob.glob(os.path.join(root, "bench", "results", "*.json")):
        with open(path, encoding="utf-8") as f:
            content = json.load(f)
        if content.get("format") == kind:
            out.append((content["date"], os.path.basename(path), content))
    return [(name, content) for _, name, content in sorted(out, key=lambda x: x[:2])]


def link(name, content):
    return f"[{content['date'][:10]}](../bench/results/{name})"


def newest(root):
    """{figure name: {machine: (its record, file name, the file's object)}}, the newest with
    a value."""
    out = {}
    for name, content in results(root, "smelt-bench/1"):
        on = machine.label(content["cpu"])
        for record in content["figures"]:
            if record["value"] is not None:
                out.setdefault(record["name"], {})[on] = (record, name, content)
    return out


def roofline_table(root, shape):
    for name, content in reversed(results(root, "smelt-roofline/1")):
        for part in content["shapes"]:
            if part["shape"] == shape:
                c = content["ceilings"]
                return (f"`{shape}`, {part['profile']}, rung {part['rung']}, "
                        f"{content['threads']} threads, {part['tok_per_s']:.0f} tokens/s; "
                        f"ceilings: product {number(c['bf16_gflops'])} GFLOP/s, FMA "
                        f"{number(c['fma_gflops'])}, read {number(c['read_gb_s'])} GB/s; "
                        f"{link(name, content)}\n\n" + roofline.table(part["rows"]))
    return "Not measured.\n"


def loss_table(root, model):
    for name, content in reversed(results(root, "smelt-loss-vs-torch/1")):
        if content["model"] != model:
            continue
        lines = ["| seed | run | distance from PyTorch f32, 1 thread | from PyTorch f64 |",
                 "|---|---|---|---|"]
        for r in content["runs"]:
            truth = r["distance_from_torch_f64"]
            lines += [f"| {r['seed']} | {k} | {d:.2e} | {truth[k]:.2e} |"
                      for k, d in r["distance_from_torch_f32_1_thread"].items()]
        ratios = ", ".join(f"{k} {number(content[k])}" for k in (
            "f32_over_threads", "f32_over_kernels", "f32_over_decay", "bf16_over_bf16"))
        return (f"{model}, {content['n_steps']} steps, {link(name, content)}; medians over "
                f"seeds: {ratios}.\n\n" + "\n".join(lines) + "\n")
    return "Not measured.\n"


def table(group, found):
    lines = ["| figure | machine | value | must (goal) | spread | n | measured |",
             "|---|---|---|---|---|---|---|"]
    for f in figures.FIGURES:
        if f.group != group:
            continue
        if f.name not in found:
            lines.append(f"| `{f.name}`: {f.what} | | not measured | {bound(f)} | | | |")
        name, must = f"`{f.name}`: {f.what}", bound(f)
        for on, (r, file, content) in sorted(found.get(f.name, {}).items(), reverse=True):
            value = f"**{number(r['value'])}** {f.unit}"
            if r["pass"] is False:
                value += " (missed)"
            note = f"; {r['note']}" if r.get("note") else ""
            lines.append(f"| {name} | {on} | {value} | {must} | {number(r['spread'])} | "
                         f"{r['n']} | {link(file, content)}{note} |")
            name = must = ""
    return "\n".join(lines) + "\n"


def demo_table(root, part):
    for name, content in reversed(results(root, "smelt-demo/1")):
        if part == "figures" or content["compare"]:
            where = f"[{content['date'][:10]}](bench/results/{name})"
            return demo.table(part, content, where)
    return "Not measured.\n"


def update(root, check):
    found = newest(root)
    write = {"figures": lambda x: table(x, found),
             "roofline": lambda x: roofline_table(root, x),
             "loss": lambda x: loss_table(root, x),
             "demo": lambda x: demo_table(root, x)}
    stale = 0
    for path in ("README.md", os.path.join("docs", "performance.md")):
        with open(os.path.join(root, path), encoding="utf-8") as f:
            old = f.read()
        new = MARK.sub(lambda m: m.group(1) + write[m.group(2)](m.group(3)) + m.group(5), old)
        if new == old:
            continue
        if check:
            print(f"{path}: tables differ from bench/results; run bench/run --docs",
                  file=sys.stderr)
            stale = 1
        else:
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(new)
    return stale
