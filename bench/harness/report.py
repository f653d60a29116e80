# SPDX-License-Identifier: Apache-2.0
"""Tables for people, and files of bench/results."""
import json
import os


def number(x):
    if x is None:
        return "-"
    return f"{x:.4g}"


def bound(figure):
    """"4 (goal 6)" with the sense of the comparison."""
    if figure.must is None:
        return "-"
    sign = {"higher": ">=", "lower": "<=", "near zero": "+-"}[figure.better]
    return f"{sign} {number(figure.must)} ({number(figure.goal)})"


def columns(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())


def print_list(figures):
    columns([("figure", "group", "unit", "must (goal)", "rival", "what")] +
            [(f.name, f.group, f.unit, bound(f), f.peer or "", f.what) for f in figures])


def print_table(results, context):
    c = context["ceilings"]
    print(f"{context['cpu']['model']}, {context['threads']} threads, kernels {c['kernels']}; "
          f"load before {context['load_average'][0]}")
    print("ceilings: FMA {} GFLOP/s, AMX {}, product bf16/1 {}, f32/1 {}, read {} GB/s".format(
        *(number(c[k]) for k in ("fma_gflops", "amx_bf16_gflops", "bf16_gflops",
                                 "f32_gflops", "read_gb_s"))))
    for name, facts in context["peers"].items():
        print(f"{name} {facts.get('version')}: {facts.get('onednn')}; "
              f"BLAS {', '.join(facts.get('blas', []))}; f32 {number(facts.get('f32_mm_gflops'))} "
              "GFLOP/s")
    verdict = {True: "pass", False: "MISS", None: "-"}
    columns([("figure", "value", "unit", "must (goal)", "", "spread", "n", "note")] +
            [(r.figure.name, number(r.value), r.figure.unit, bound(r.figure),
              verdict[r.passed], number(r.spread), str(len(r.outcome.samples)),
              r.outcome.note or "") for r in results])


def save(directory, stem, context, content):
    """Write context and content to STEM-DATE.json, or STEM-DATE-2.json where that exists;
    returns the path."""
    os.makedirs(directory, exist_ok=True)
    base = os.path.join(directory, f"{stem}-{context['date'][:10]}")
    path, n = base + ".json", 1
    while os.path.exists(path):
        n += 1
        path = f"{base}-{n}.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(dict(context, **content), f, indent=1)
        f.write("\n")
    return path
