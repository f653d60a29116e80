# SPDX-License-Identifier: Apache-2.0
"""Where a step goes, by operation, against what the machine could do.

For each operation: FLOPs and bytes by the table of operations, time by the event log (own
time over all threads), arithmetic intensity, and the roof over it: products the product
kernel's ceiling, everything else FMA, both cut by intensity times the bandwidth of memory.
A share above 1 of a memory roof means that the bytes came from a cache.
"""
from . import report

# Operations whose FLOPs run in the product kernel; the rest is element by element.
PRODUCTS = ("qkv", "out", "gate_up", "down", "attention", "head and loss", "head gradient",
            "weight gradients", "expert gate_up", "expert down")
SHAPES = ("dense32m", "moe65m")
LEAST_FRAC = 0.005  # smaller parts of a step go to "other"


def is_product(name):
    return name.removesuffix(" backward") in PRODUCTS


def rows(step, ceilings):
    """One dictionary an operation, the longest first, and how they add up."""
    product = ceilings["f32_gflops" if step["profile"].startswith("f32") else "bf16_gflops"]
    fma = ceilings["fma_gflops"] or product
    read = ceilings["read_gb_s"]
    total = sum(o["self_ns"] for o in step["operations"])
    out, other = [], {"operation": "other", "time_frac": 0.0}
    for o in step["operations"]:
        frac = o["self_ns"] / total
        name = o["name"] if o["name"] != "step" else "outside of loops"
        if frac < LEAST_FRAC:
            other["time_frac"] += frac
            continue
        row = {"operation": name, "time_frac": frac}
        if name != "outside of loops" and (o["flops"] or o["bytes"]):
            s = o["self_ns"] * 1e-9 / step["threads"]
            compute = o["flops"] / ((product if is_product(name) else fma) * 1e9)
            memory = o["bytes"] / (read * 1e9)
            row.update({"gflops": o["flops"] / s * 1e-9, "gb_s": o["bytes"] / s * 1e-9,
                        "flops_per_byte": o["flops"] / o["bytes"] if o["bytes"] else None,
                        "bound": "memory" if memory > compute else (
                            "product" if is_product(name) else "FMA"),
                        "share_of_roof": max(memory, compute) / s})
        out.append(row)
    return out + [other]


def table(rows_):
    """Markdown."""
    lines = ["| operation | share of the step | GFLOP/s | GB/s | FLOP a byte | bound by | "
             "share of that roof |", "|---|---|---|---|---|---|---|"]
    for r in rows_:
        cells = [r["operation"], f"{100 * r['time_frac']:.1f} %"]
        cells += [report.number(r.get(k)) for k in ("gflops", "gb_s", "flops_per_byte")]
        share = r.get("share_of_roof")
        cells += [r.get("bound", "-"), "-" if share is None else f"{100 * share:.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def measure(bench, shapes=SHAPES):
    """[{"shape", "profile", "rung", "tok_per_s", "rows"}]"""
    out = []
    for shape in shapes:
        step = bench.step(shape, steps=2, operations=True)
        out.append({"shape": shape, "profile": step["profile"], "rung": step["rung"],
                    "tok_per_s": step["tok_per_s"], "busy": step["busy"],
                    "rows": rows(step, bench.ceilings())})
    return out
