# SPDX-License-Identifier: Apache-2.0
"""The figures: what each is, what it must be, how it is measured.

To add one: a Figure in FIGURES whose `run` takes a Bench and returns an Outcome.
"""
import math
from dataclasses import dataclass, field
from typing import Callable, Optional

from . import machine
from .measure import PEER_AVX2, median, pair

LONG_TOKENS = 65536  # of a step, where issue figures name it
HIGHER, LOWER, NEAR_ZERO = "higher", "lower", "near zero"


@dataclass
class Outcome:
    """Samples of a figure, or why there are none."""
    samples: list = field(default_factory=list)
    note: Optional[str] = None
    detail: dict = field(default_factory=dict)
    value: Optional[float] = None  # when it is not the median of the samples
    is_marked: bool = False        # measured otherwise than the figure says: no verdict


@dataclass
class Figure:
    name: str
    group: str
    unit: str
    what: str
    run: Callable
    must: Optional[float] = None
    goal: Optional[float] = None
    better: str = HIGHER
    peer: Optional[str] = None


@dataclass
class Result:
    figure: Figure
    outcome: Outcome
    failed: bool = False

    @property
    def value(self):
        o = self.outcome
        if o.value is not None:
            return o.value
        return median(o.samples) if o.samples else None

    @property
    def spread(self):
        s = self.outcome.samples
        return max(s) - min(s) if s else None

    @property
    def passed(self):
        f, v = self.figure, self.value
        if v is None or f.must is None or self.outcome.is_marked:
            return None
        if f.better == HIGHER:
            return v >= f.must
        return (abs(v) if f.better == NEAR_ZERO else v) <= f.must

    def line(self):
        """The object of the array that ends standard output."""
        f, o = self.figure, self.outcome
        out = {"name": f.name, "value": rounded(self.value), "unit": f.unit,
               "must": f.must, "goal": f.goal, "pass": self.passed,
               "spread": rounded(self.spread), "n": len(o.samples)}
        if o.note:
            out["note"] = o.note
        return out

    def record(self):
        """The same with everything that was seen, for bench/results."""
        return dict(self.line(), better=self.figure.better, what=self.figure.what,
                    samples=[rounded(s) for s in self.outcome.samples],
                    detail=self.outcome.detail)


def rounded(x):
    """Four significant digits; None stays None."""
    if x is None or x == 0 or not math.isfinite(x):
        return x
    return round(x, 3 - math.floor(math.log10(abs(x))))


def choose(names, group):
    known = {f.name: f for f in FIGURES}
    if group and group not in groups():
        raise ValueError(f"--group {group}: want one of {', '.join(groups())}")
    out = [f for f in FIGURES if group and f.group == group]
    for n in names:
        if n not in known:
            raise ValueError(f"{n}: no such figure; --list names them")
        if known[n] not in out:
            out.append(known[n])
    if not out:
        raise ValueError("want figures, --group or --list")
    return out


def groups():
    return sorted({f.group for f in FIGURES})


def measure(figure, bench):
    bench.say(f"== {figure.name}: {figure.what}")
    if figure.peer and figure.peer not in bench.peers:
        return Result(figure, Outcome(note=f"not measured: give --peer {figure.peer}=PATH"))
    outcome = figure.run(bench)
    return Result(figure, outcome, failed=figure.peer is not None and not outcome.samples)


# --------------------------------------------------------------- ways of measuring


def tok_per_s(pairs, side):
    return rounded(median([p[side]["tok_per_s"] for p in pairs]))


def busy_note(runs, note=None):
    """Say so when the machine was doing something else."""
    busy = median([r["busy"] for r in runs])
    if busy < 0.9:
        disturbed = f"disturbed: threads got {100 * busy:.0f} % of their cores"
        return f"{note}; {disturbed}" if note else disturbed
    return note


def vs_torch(shape, which, profile, dtype, rung=None, env=None, seq=4, ctx=512):
    """Tokens a second over those of the rival, same shape, full steps with AdamW."""
    def run(bench):
        facts = bench.check_peer(env)
        reason = dtype == "f32" and bench.slow_blas(facts, bench.ceilings(rung)["f32_gflops"])
        if reason:
            return Outcome(note="refused: " + reason)
        if rung and bench.ceilings(rung)["kernels"] != rung:
            return Outcome(note=f"this CPU has no {rung}")
        pairs = pair(bench,
                     lambda: bench.step(shape, profile, seq=seq, ctx=ctx, rung=rung),
                     lambda: bench.torch(which, dtype, seq=seq, ctx=ctx, env=env),
                     lambda a, b: a["tok_per_s"] / b["tok_per_s"])
        ours = [p[1] for p in pairs]
        reason = dtype == "f32" and bench.slow_blas(facts, ceiling_of_runs(ours))
        if reason:
            return Outcome(note="refused: " + reason)
        detail = {"smelt_tok_per_s": tok_per_s(pairs, 1), "torch_tok_per_s": tok_per_s(pairs, 2),
                  "smelt_gflops": rounded(median([r["gflops"] for r in ours])),
                  "ceiling_gflops": rounded(ceiling_of_runs(ours)),
                  "rung": ours[0]["rung"], "n_shard": ours[0]["n_shard"],
                  "torch_statistic": pairs[0][2]["statistic"]}
        return Outcome([p[0] for p in pairs], busy_note(ours), detail)
    return run


def ceiling_of_runs(runs):
    return median([0.5 * (r["ceiling_before_gflops"] + r["ceiling_after_gflops"])
                   for r in runs])


def long_step(bench, shape, profile="bf16/1"):
    """One step of LONG_TOKENS tokens (or --tokens) after one that touches its memory: a MoE
    with an auxiliary loss holds all micro-batches, 12 GB of pages that appear but once."""
    tokens = bench.tokens or LONG_TOKENS
    half = machine.memory_bytes() // 2  # the default would run forward passes twice
    return bench.step(shape, profile, seq=max(tokens // 512, 1), ctx=512, steps=1, warmup=1,
                      settings=(f"memory_bytes={half}",))


def marked(bench, note=None):
    """(note, is_marked) of a figure that wants LONG_TOKENS tokens a step."""
    if bench.tokens and bench.tokens != LONG_TOKENS:
        less = f"at {bench.tokens} tokens a step"
        return (f"{note}; {less}" if note else less), True
    return note, False


def share(shape, key, what):
    """6 N tokens/s over a ceiling of the same run."""
    def run(bench):
        if bench.ceilings()[key] is None:
            return Outcome(note=f"this machine has no {what}")
        samples, runs, peaks = [], [], []
        for _ in range(bench.pairs):
            runs.append(long_step(bench, shape))
            peaks.append(bench.ceilings(again=True)[key])
            samples.append(runs[-1]["gflops"] / peaks[-1])
        note, is_marked = marked(bench, busy_note(runs))
        detail = {"gflops": rounded(median([r["gflops"] for r in runs])),
                  "tok_per_s": rounded(median([r["tok_per_s"] for r in runs])),
                  "ceiling_gflops": rounded(median(peaks)), "n_micro": runs[0]["n_micro"],
                  "tok_per_step": runs[0]["tok_per_step"], "rung": runs[0]["rung"]}
        return Outcome(samples, note, detail, is_marked=is_marked)
    return run


def moe_over_dense(bench):
    pairs = pair(bench, lambda: long_step(bench, "moe65m"),
                 lambda: long_step(bench, "dense32m_ffn1024"),
                 lambda a, b: a["gflops"] / b["gflops"])
    note, is_marked = marked(bench, busy_note([p[1] for p in pairs]))
    detail = {"moe_tok_per_s": tok_per_s(pairs, 1), "dense_tok_per_s": tok_per_s(pairs, 2),
              "tok_per_step": pairs[0][1]["tok_per_step"],
              "rerun_forward": pairs[0][1]["rerun_forward"]}
    return Outcome([p[0] for p in pairs], note, detail, is_marked=is_marked)


def contract_cost(shapes, shards, seq=4, ctx=512, steps=4, seconds=0):
    """Time of V shards joined by the tree over that of one shard, less 1; the worst of
    several shapes.  With `seconds` a pair repeats until its sides ran that long."""
    def run(bench):
        worst, detail, runs = Outcome(value=-math.inf), {}, []
        for shape in shapes:
            n = steps
            if seconds:
                probe = bench.step(shape, seq=seq, ctx=ctx, steps=3)
                n = max(steps, int(seconds / probe["median_step_s"]))
            pairs = pair(bench,
                         lambda s=shape, n=n: bench.step(s, seq=seq, ctx=ctx, steps=n,
                                                         shards=shards),
                         lambda s=shape, n=n: bench.step(s, seq=seq, ctx=ctx, steps=n,
                                                         shards=1),
                         lambda a, b: a["median_step_s"] / b["median_step_s"] - 1)
            samples = [100 * p[0] for p in pairs]
            runs += [p[1] for p in pairs]
            detail[shape] = {"percent": rounded(median(samples)), "n_shard": shards,
                             "spread": rounded(max(samples) - min(samples))}
            if median(samples) > worst.value:
                worst = Outcome(samples, shape, value=median(samples))
        worst.detail = detail
        worst.note = busy_note(runs, "worst: " + worst.note if len(shapes) > 1 else None)
        return worst
    return run


def rss_vs_plan(shapes):
    """Most that was resident at the end of a step over the plan, less 1; the worst."""
    def run(bench):
        detail, samples = {}, []
        for shape in shapes:
            r = bench.step(shape, steps=2)
            samples.append(100 * (r["peak_rss_bytes"] / r["plan_bytes"] - 1))
            detail[shape] = {"percent": rounded(samples[-1]), "peak_rss_bytes": r["peak_rss_bytes"],
                             "plan_bytes": r["plan_bytes"]}
        return Outcome(samples, detail=detail, value=max(samples, key=abs))
    return run


def thread_scaling(shape):
    def run(bench):
        if bench.threads < 2:
            return Outcome(note="one thread has nothing to scale to")
        pairs = pair(bench, lambda: bench.step(shape),
                     lambda: bench.step(shape, threads=1, steps=3),
                     lambda a, b: a["tok_per_s"] / b["tok_per_s"] / bench.threads)
        return Outcome([p[0] for p in pairs], busy_note([p[1] for p in pairs]),
                       {"tok_per_s": tok_per_s(pairs, 1),
                        "tok_per_s_one_thread": tok_per_s(pairs, 2)})
    return run


# -------------------------------------------------------------------- the figures

FIGURES = [
    Figure("train.dense32m.bf16.vs_torch", "train", "x",
           "tokens/s over PyTorch bf16 autocast, dense 32M, B=4 T=512",
           vs_torch("dense32m", "dense30", "bf16/1", "bf16"), 4, 6, peer="torch"),
    Figure("train.moe65m.bf16.vs_torch", "train", "x",
           "the same, 8 experts of 512, top-2",
           vs_torch("moe65m", "moe60", "bf16/1", "bf16"), 8, 12, peer="torch"),
    Figure("train.gpt2_124m.bf16.vs_torch", "train", "x",
           "the same, Llama shapes of GPT-2's size against PyTorch's GPT-2",
           vs_torch("gpt2_124m", "gpt2", "bf16/1", "bf16"), 3, 4, peer="torch"),
    Figure("train.dense32m.share_of_amx", "train", "fraction",
           "6 N tokens/s over TDPBF16PS from L1, 65,536 tokens a step",
           share("dense32m", "amx_bf16_gflops", "AMX"), 0.25, 0.40),
    Figure("train.dense32m.share_of_ceiling", "train", "fraction",
           "6 N tokens/s over the bf16/1 product kernel in cache, 65,536 tokens a step",
           share("dense32m", "bf16_gflops", "bf16 product ceiling")),
    Figure("train.moe_over_dense", "train", "fraction",
           "FLOP rate of moe65m over dense with FFN 1,024, 65,536 tokens a step",
           moe_over_dense, 0.85, 0.95),
    Figure("train.dense32m.f32.avx512.vs_torch", "train", "x",
           "tokens/s over PyTorch f32, dense 32M, B=4 T=512",
           vs_torch("dense32m", "dense30", "f32/1", "f32", rung="avx512"), 2, 2.5,
           peer="torch"),
    Figure("train.dense32m.bf16.avx2.vs_torch_f32", "train", "x",
           "bf16/1 over PyTorch f32, both without AVX-512 and AMX",
           vs_torch("dense32m", "dense30", "bf16/1", "f32", rung="avx2", env=PEER_AVX2),
           1.0, 1.5, peer="torch"),
    Figure("train.contract_cost", "train", "%",
           "time of V=4 shards and their tree over V=1, B=4 T=512; dense and MoE",
           contract_cost(("dense32m", "moe65m"), 4), 5, 1, LOWER),
    Figure("train.rss_vs_plan", "train", "%",
           "resident bytes over those --dry-run plans; the worst of three shapes",
           rss_vs_plan(("dense32m", "moe65m", "gpt2_124m")), 5, 2, NEAR_ZERO),
    Figure("train.moe65m.f32.vs_torch", "more", "x",
           "tokens/s over PyTorch f32, MoE 65M, B=4 T=512",
           vs_torch("moe65m", "moe60", "f32/1", "f32"), peer="torch"),
    Figure("train.dense32m.f32.avx2.vs_torch", "more", "x",
           "f32/1 over PyTorch f32, both without AVX-512 and AMX",
           vs_torch("dense32m", "dense30", "f32/1", "f32", rung="avx2", env=PEER_AVX2),
           peer="torch"),
    Figure("train.dense32m.bf16.t2048.vs_torch", "more", "x",
           "tokens/s over PyTorch bf16, dense 32M, one sequence of 2,048",
           vs_torch("dense32m", "dense30", "bf16/1", "bf16", seq=1, ctx=2048), peer="torch"),
    Figure("train.dense32m.thread_efficiency", "more", "fraction",
           "tokens/s a thread over tokens/s of one thread", thread_scaling("dense32m")),
    Figure("train.tiny.contract_cost", "smoke", "%",
           "time of V=4 over V=1 for a model of 156,480 parameters; checks the bench",
           contract_cost(("tiny_moe",), 4, seq=4, ctx=64, steps=3)),
]
