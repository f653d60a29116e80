#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does smelt learn what PyTorch learns?  The loss of every step, side by side.

  /usr/bin/python3 bench/loss_vs_torch.py --build DIR --text FILE [--moe] [--steps 200]
                                          [--seed 1 ...] [--init-residual 0] [--save]

bench_loss trains a small model in both profiles and writes down its initial weights, its
batches and its losses; this script trains the same model from the same weights on the same
batches with PyTorch (whichever is installed for this python) and AdamW of the same
settings: in f32 with 1 and 2 threads; in f32 with the kernels of an AVX2 machine; in f32 with
weight decay as a subtraction, w - (lr wd) w, where PyTorch and smelt round 1 - lr wd first;
in bf16 autocast; and in f64 as the truth that f32 approximates.  The distance of two runs is
the root mean square over steps of the difference of their losses in nats.

  f32   distance of smelt f32/1 from torch f32, over that of torch with 2 threads from
        torch with 1: want at most 2
  bf16  distance of smelt bf16/1 from torch f32, over that of torch bf16 from torch f32:
        want at most 1.5

The last line of standard output is a JSON object; --save writes bench/results.
"""
import argparse
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from harness import machine, report  # noqa: E402
from harness.measure import PEER_AVX2, fit_blas, run_program, sha256_of  # noqa: E402

F32_MUST, BF16_MUST = 2.0, 1.5


# ------------------------------------------------------- the model, with PyTorch


def read_safetensors(torch, path):
    """{name: tensor} of an F32 file."""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    out = {}
    for name, t in head.items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
        out[name] = flat.reshape(t["shape"]).clone()
    return out


class Decoder:
    """The decoder of smelt/model.h over a dictionary of weights with gradients."""

    def __init__(self, torch, weights, run, real):
        self.t, self.w, self.run, self.real = torch, weights, run, real
        m = run["model"]
        self.n_head, self.n_kv = m["num_attention_heads"], m["num_key_value_heads"]
        self.d_head, self.n_layer = m["head_dim"], m["num_hidden_layers"]
        self.n_expert, self.k = m.get("num_local_experts", 0), m.get("num_experts_per_tok", 0)
        self.eps = run["norm_eps"]
        j = torch.arange(0, self.d_head, 2, dtype=torch.float64) / self.d_head
        angle = torch.arange(run["n_ctx"], dtype=torch.float64)[:, None] * (
            run["rope_theta"] ** -j)[None]
        self.cos, self.sin = angle.cos().to(real), angle.sin().to(real)

    def norm(self, x, name):
        return x * self.t.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.w[name]

    def linear(self, x, name):
        return self.t.nn.functional.linear(x, self.w[name])

    def rope(self, x, position):
        """Half-split pairs of [n_seq, n_ctx, heads, d_head] by position."""
        c, s = self.cos[position].unsqueeze(2), self.sin[position].unsqueeze(2)
        a, b = x.to(self.real).chunk(2, -1)
        return self.t.cat((a * c - b * s, b * c + a * s), -1)

    def attention(self, x, layer, position, hidden):
        n_seq, n_ctx, _ = x.shape
        p = f"model.layers.{layer}.self_attn."
        q, k, v = (self.linear(x, p + n + "_proj.weight").view(n_seq, n_ctx, -1, self.d_head)
                   for n in "qkv")
        q, k = self.rope(q, position).transpose(1, 2), self.rope(k, position).transpose(1, 2)
        group = self.n_head // self.n_kv
        k = k.repeat_interleave(group, 1)
        v = v.transpose(1, 2).repeat_interleave(group, 1)
        s = (q @ k.transpose(-1, -2)).to(self.real) / math.sqrt(self.d_head)
        a = s.masked_fill(hidden[:, None], -math.inf).softmax(-1)
        o = (a @ v).transpose(1, 2).reshape(n_seq, n_ctx, -1)
        return self.linear(o, p + "o_proj.weight").to(self.real)

    def swiglu(self, x, gate, up, down):
        g = self.linear(x, gate).to(self.real)
        return self.linear(self.t.nn.functional.silu(g) * self.linear(x, up),
                           down).to(self.real)

    def experts(self, x, layer):
        """Mixtral's layer: softmax over the chosen k; and its load-balance term."""
        p = f"model.layers.{layer}.block_sparse_moe."
        flat = x.reshape(-1, x.shape[-1])
        with self.t.autocast("cpu", enabled=False):
            logit = self.linear(flat, p + "gate.weight")
        prob = logit.softmax(-1)
        top, chosen = logit.topk(self.k, -1)
        weight = top.softmax(-1)
        out = self.t.zeros_like(flat)
        for e in range(self.n_expert):
            token, slot = (chosen == e).nonzero(as_tuple=True)
            w = [f"{p}experts.{e}.w{i}.weight" for i in (1, 3, 2)]
            y = self.swiglu(flat[token], *w) * weight[token, slot].unsqueeze(-1)
            out = out.index_add(0, token, y)
        share = self.t.bincount(chosen.reshape(-1), minlength=self.n_expert) / chosen.numel()
        return out.view_as(x), self.n_expert * (share * prob.mean(0)).sum()

    def loss(self, token, target, doc_start):
        """(cross-entropy a target, auxiliary term, the first in double for the record)."""
        index = self.t.arange(token.shape[1])
        position = index[None] - doc_start
        hidden = ((index[None, None, :] > index[None, :, None]) |
                  (index[None, None, :] < doc_start[:, :, None]))
        x, aux = self.w["model.embed_tokens.weight"][token], 0.0
        for i in range(self.n_layer):
            p = f"model.layers.{i}."
            x = x + self.attention(self.norm(x, p + "input_layernorm.weight"), i, position,
                                   hidden)
            n2 = self.norm(x, p + "post_attention_layernorm.weight")
            if self.n_expert:
                y, balance = self.experts(n2, i)
                x, aux = x + y, aux + balance
            else:
                x = x + self.swiglu(n2, *(p + f"mlp.{n}_proj.weight"
                                          for n in ("gate", "up", "down")))
        logit = self.linear(self.norm(x, "model.norm.weight"), "model.embed_tokens.weight")
        logit, target = logit.to(self.real).view(-1, logit.shape[-1]), target.view(-1)
        ce = self.t.nn.functional.cross_entropy
        exact = ce(logit.detach().double(), target, ignore_index=-1).item()
        return ce(logit, target, ignore_index=-1), aux, exact


def clip(params, limit, torch):
    """Scale gradients to a global norm of at most `limit`."""
    norm = math.sqrt(sum(p.grad.double().pow(2).sum().item() for p in params))
    if norm > limit > 0:
        for p in params:
            p.grad.mul_(limit / norm)


def make_optimizer(torch, run, weights, decay_frac):
    """AdamW as smelt configures it; weight decay times decay_frac."""
    names = set(run["decay"])
    groups = [{"params": [w for n, w in weights.items() if n in names],
               "weight_decay": decay_frac * run["weight_decay"]},
              {"params": [w for n, w in weights.items() if n not in names],
               "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(run["beta1"], run["beta2"]), eps=run["eps"])


def train_torch(directory, dtype, threads, out):
    """Losses of every step, as JSON into `out`."""
    import torch
    torch.set_num_threads(threads)
    with open(os.path.join(directory, "run.json"), encoding="utf-8") as f:
        run = json.load(f)
    weights = read_safetensors(torch, os.path.join(directory, "model.safetensors"))
    real = torch.float64 if dtype == "f64" else torch.float32
    weights = {n: w.to(real).requires_grad_(True) for n, w in weights.items()}
    subtracts = dtype == "f32-subtract"
    opt = make_optimizer(torch, run, weights, 0.0 if subtracts else 1.0)
    model = Decoder(torch, weights, run, real)
    shape = (run["n_steps"], 3, run["n_seq"], run["n_ctx"])
    with open(os.path.join(directory, "batches.i32"), "rb") as f:
        batches = torch.frombuffer(bytearray(f.read()), dtype=torch.int32).view(shape).long()
    losses = []
    for step in range(run["n_steps"]):
        lr = run["lr"][step]
        for g in opt.param_groups:
            g["lr"] = lr
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            ce, aux, exact = model.loss(*batches[step])
        opt.zero_grad(set_to_none=True)
        (ce + run["aux_coef"] * aux).backward()
        clip(list(weights.values()), run["clip_norm"], torch)
        for w in opt.param_groups[0]["params"] if subtracts else ():
            w.data.sub_(w.data * (lr * run["weight_decay"]))
        opt.step()
        losses.append(exact)
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"loss": losses, "torch": torch.__version__,
                   "config": torch.__config__.show()}, f)


# ------------------------------------------------------------------- comparing


def distance(a, b):
    """Root mean square over steps of the difference of two loss curves, nats."""
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)) / len(a))


def torch_runs(directory):
    """{name: losses} of PyTorch's runs, each in a process of its own."""
    out, version, fit = {}, None, fit_blas(sys.executable)
    for name, dtype, threads, env in (("f32, 1 thread", "f32", 1, {}),
                                      ("f32, 2 threads", "f32", 2, {}),
                                      ("f32, 1 thread, AVX2 kernels", "f32", 1, PEER_AVX2),
                                      ("f32, 1 thread, decay subtracted", "f32-subtract", 1,
                                       {}),
                                      ("f64, 1 thread", "f64", 1, {}),
                                      ("bf16, 2 threads", "bf16", 2, {})):
        path = os.path.join(directory, "torch.json")
        run_program([sys.executable, os.path.abspath(__file__), "--torch-run", directory, dtype,
                     str(threads), path],
                    dict(fit, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS=str(threads),
                         OPENBLAS_NUM_THREADS=str(threads), **env))
        with open(path, encoding="utf-8") as f:
            r = json.load(f)
        out[name], version = r["loss"], r["torch"]
        print(f"  torch {name}: {r['loss'][0]:.6f} .. {r['loss'][-1]:.6f}", file=sys.stderr)
    return out, version


def over(a, b):
    """a / b; None where b is 0."""
    return a / b if b > 0 else None


def compare(directory):
    """Distances and verdicts of one model and seed."""
    with open(os.path.join(directory, "run.json"), encoding="utf-8") as f:
        smelt = json.load(f)["loss"]
    torch, version = torch_runs(directory)
    curves = dict({f"torch {n}": x for n, x in torch.items()},
                  **{f"smelt {n}": x for n, x in smelt.items()})
    d = {n: distance(x, torch["f32, 1 thread"]) for n, x in curves.items()}
    truth = {n: distance(x, torch["f64, 1 thread"]) for n, x in curves.items()}
    f32 = over(d["smelt f32/1"], d["torch f32, 2 threads"])
    kernels = over(d["smelt f32/1"], d["torch f32, 1 thread, AVX2 kernels"])
    decay = over(d["smelt f32/1"], d["torch f32, 1 thread, decay subtracted"])
    bf16 = over(d["smelt bf16/1"], d["torch bf16, 2 threads"])
    return {"distance_from_torch_f32_1_thread": d, "distance_from_torch_f64": truth,
            "f32_over_threads": f32, "f32_over_kernels": kernels, "f32_over_decay": decay,
            "bf16_over_bf16": bf16, "torch": version, "loss": curves}


def show(r):
    print(f"  {'distance from':32s} torch f32   torch f64")
    for name, x in r["distance_from_torch_f32_1_thread"].items():
        print(f"  {name:32s} {x:.3e}   {r['distance_from_torch_f64'][name]:.3e}")
    for key, must in (("f32_over_threads", F32_MUST), ("f32_over_kernels", None),
                      ("f32_over_decay", None),
                      ("bf16_over_bf16", BF16_MUST)):
        verdict = "" if must is None or r[key] is None else (
            "pass" if r[key] <= must else "MISS")
        value = "undefined: the distance below is 0" if r[key] is None else f"{r[key]:.3g}"
        print(f"  {key:32s} {value} {f'(want <= {must:g})' if must else ''} {verdict}")


def one_run(a, seed, directory):
    command = [os.path.join(a.build, "bench_loss"), directory, a.text, "--steps", str(a.steps),
               "--seed", str(seed), "--init-residual", str(a.init_residual)]
    command += ["--moe"] if a.moe else []
    run_program(command)
    r = dict(compare(directory), seed=seed)
    print(f"seed {seed}: RMS over {a.steps} steps, nats")
    show(r)
    return r


def median(values):
    values = sorted(v for v in values if v is not None)
    n = len(values)
    return None if n == 0 else 0.5 * (values[(n - 1) // 2] + values[n // 2])


def save(a, out):
    stem = "loss_vs_torch-moe" if a.moe else "loss_vs_torch-dense"
    path = report.save(os.path.join(HERE, "results"), stem, out, {})
    print(f"saved {os.path.relpath(path)}", file=sys.stderr)


def main(argv):
    if len(argv) == 5 and argv[0] == "--torch-run":
        train_torch(argv[1], argv[2], int(argv[3]), argv[4])
        return 0
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--build", default=os.path.join(HERE, "..", "build", "release"))
    p.add_argument("--text", required=True, help="a text file; paragraphs are documents")
    p.add_argument("--moe", action="store_true", help="8 experts, top-2, instead of dense")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--seed", type=int, action="append", help="may be repeated (default 1)")
    p.add_argument("--init-residual", type=float, default=0,
                   help="initial scale of what blocks add to the residual stream (default 0)")
    p.add_argument("--save", action="store_true")
    a = p.parse_args(argv)
    runs = []
    for seed in a.seed or [1]:
        with tempfile.TemporaryDirectory(prefix="smelt-loss-") as directory:
            runs.append(one_run(a, seed, directory))
    out = {"format": "smelt-loss-vs-torch/1", "text": os.path.basename(a.text),
           "text_sha256": sha256_of(a.text), "torch_env": fit_blas(sys.executable),
           "model": "moe" if a.moe else "dense", "n_steps": a.steps,
           "init_residual": a.init_residual,
           "date": machine.now(), "cpu": machine.cpu()}
    out.update(machine.build_facts(a.build))
    for key in ("f32_over_threads", "f32_over_kernels", "f32_over_decay", "bf16_over_bf16"):
        out[key] = median([r[key] for r in runs])
    out["must"] = {"f32_over_threads": F32_MUST, "bf16_over_bf16": BF16_MUST}
    if a.save:
        save(a, dict(out, runs=runs))
    print(json.dumps(out))
    verdicts = [out[k] is None or out[k] > m for k, m in out["must"].items()]
    return 1 if any(verdicts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
