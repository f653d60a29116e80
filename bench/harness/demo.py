# SPDX-License-Identifier: Apache-2.0
"""README's tables of a demo, from a result of bench/demo."""
from . import machine


def interval(figure, sign=""):
    if figure.get("low") is None:
        return f"{figure['value']:{sign}.3f} | "
    return f"{figure['value']:{sign}.3f} | {figure['low']:{sign}.3f} to {figure['high']:{sign}.3f}"


def served(weight):
    return f"served with weight {weight:g}" if weight else "not served"


def figures_table(d, where):
    m, f = d["model"], d["figures"]
    curated = d["dataset"]["train_bytes"] + d["dataset"]["heldout_bytes"]
    questions = f["ask.recall_at_5"]["n"]
    rows = [("bits per byte on {} held-out documents".format(f["heldout.bpb"]["n"]),
             interval(f["heldout.bpb"])),
            (f"recall@5, {questions} NAME lines of unseen pages, FTS5's BM25 of whole pages",
             interval(f["bm25.recall_at_5"])),
            ("the same, `ask`: fields, passages, titles", interval(f["lexical.recall_at_5"])),
            ("gain of fields, passages and titles", interval(f["lexical_gain.recall_at_5"], "+")),
            (f"further gain of the model's re-ranking, {served(f['w_model']['value'])}",
             interval(f["model_gain.recall_at_5"], "+"))]
    if d["seconds"]:
        rows.insert(0, ("the whole demo, downloads and build included, tools installed",
                        f"{d['seconds'] // 60} min {d['seconds'] % 60} s | "))
    head = (f"Recipe `{d['recipe']}` on {machine.label(d['cpu'])} cores with "
            f"{machine.kernels(d['cpu'])}: "
            f"{m['active'] / 1e6:.1f} M active of {m['parameters'] / 1e6:.1f} M parameters, "
            f"{d['n_steps']:,} steps, {m['tokens'] / 1e6:.1f} M tokens of "
            f"{curated / 1e6:.0f} MB of curated text ({where}).\n\n")
    return head + "| figure | value | 95 % interval |\n|---|---|---|\n" + "".join(
        f"| {name} | {value} |\n" for name, value in rows)


def compare_table(d, where):
    c, m = d["compare"], d["model"]
    size = f"{m['active'] / 1e6:.1f} M active, {m['tokens'] / 1e6:.1f} M tokens"
    return (f"| on the same {c['heldout_bytes']:,} held-out bytes ({where}) | bits per byte | "
            "95 % interval |\n|---|---|---|\n"
            f"| Mixture of Experts, {size} | {interval(d['figures']['heldout.bpb'])} |\n"
            f"| dense model of equal active size, same tokens | {interval(c['dense'])} |\n"
            "| `xz -9e`, 256 MiB dictionary, all training text first | "
            f"{c['xz_bpb']:.3f} | |\n"
            "| `zstd -19 --ultra --long=31`, all training text first | "
            f"{c['zstd_bpb']:.3f} | |\n")


def table(part, d, where):
    return {"figures": figures_table, "compare": compare_table}[part](d, where)
