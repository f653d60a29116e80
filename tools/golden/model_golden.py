#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write tests/golden/model_v1.json: losses and gradients of tiny decoders.

An implementation of its own, from the published equations, in NumPy: whole T x T score
matrices, every expert applied to every token under a mask, and no backward pass at all.
Gradients come from the complex step, dL/dw = Im L(w + i h) / h with h = 1e-30, which has no
cancellation: they are exact to double precision.  (Everything here is analytic in w: no
maximum is subtracted, and routing uses real parts.)

Weights are a hash of (tensor name, element index), so that the file holds none.
Usage: model_golden.py > tests/golden/model_v1.json   (about two minutes)
"""
import json
import sys

import numpy as np

H = 1e-30


def hash32(x):
    x = (x ^ (x >> np.uint64(16))) * np.uint64(0x45D9F3B) & np.uint64(0xFFFFFFFF)
    x = (x ^ (x >> np.uint64(16))) * np.uint64(0x45D9F3B) & np.uint64(0xFFFFFFFF)
    return x ^ (x >> np.uint64(16))


def name_seed(name):
    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 & 0xFFFFFFFF
    return h


def weights(name, shape, is_norm):
    """(u - 0.5) / 2 for u in [0,1) with 24 bits; 1 + that for norms."""
    i = np.arange(int(np.prod(shape)), dtype=np.uint64)
    u = hash32((i + np.uint64(name_seed(name))) & np.uint64(0xFFFFFFFF)) >> np.uint64(8)
    w = (u.astype(np.float64) / 2**24 - 0.5) / 2
    return (w + 1 if is_norm else w).reshape(shape)


def tensors(c):
    """(name, shape, is_norm) of every parameter; experts as [expert, out, in]."""
    d, V = c["hidden_size"], c["vocab_size"]
    dh, kv = c["head_dim"], c["num_key_value_heads"]
    q = c["num_attention_heads"] * dh
    kind = c["model_type"]
    out = [("model.embed_tokens.weight", (V, d), False)]
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        out += [(p + "input_layernorm.weight", (d,), True),
                (p + "self_attn.q_proj.weight", (q, d), False),
                (p + "self_attn.k_proj.weight", (kv * dh, d), False),
                (p + "self_attn.v_proj.weight", (kv * dh, d), False),
                (p + "self_attn.o_proj.weight", (d, q), False),
                (p + "post_attention_layernorm.weight", (d,), True)]
        f, E = c["intermediate_size"], c.get("num_local_experts", 0)
        if kind == "llama":
            out += [(p + "mlp.gate_proj.weight", (f, d), False),
                    (p + "mlp.up_proj.weight", (f, d), False),
                    (p + "mlp.down_proj.weight", (d, f), False)]
        elif kind == "mixtral":
            m = p + "block_sparse_moe."
            out += [(m + "gate.weight", (E, d), False)]
            for e in range(E):
                out += [(m + f"experts.{e}.w1.weight", (f, d), False),
                        (m + f"experts.{e}.w3.weight", (f, d), False),
                        (m + f"experts.{e}.w2.weight", (d, f), False)]
        else:
            m = p + "feed_forward."
            if (l + 1) % c["interleave_moe_layer_step"] == 0:
                out += [(m + "router.weight", (E, d), False),
                        (m + "experts.gate_up_proj", (E, 2 * f, d), False),
                        (m + "experts.down_proj", (E, d, f), False)]
                m += "shared_expert."
            else:
                f = c["intermediate_size_mlp"]
            out += [(m + "gate_proj.weight", (f, d), False),
                    (m + "up_proj.weight", (f, d), False),
                    (m + "down_proj.weight", (d, f), False)]
    out += [("model.norm.weight", (d,), True)]
    if not c["tie_word_embeddings"]:
        out += [("lm_head.weight", (V, d), False)]
    return out


def rms(x, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def silu(x):
    return x / (1 + np.exp(-x))


def ffn(x, gate, up, down):
    return (silu(x @ gate.T) * (x @ up.T)) @ down.T


def rotate(x, pos, theta, interleaved):
    """x [T, heads, dh]; complex w is carried in x itself, so rotate by hand."""
    dh = x.shape[-1]
    angle = pos[:, None] * theta ** (-np.arange(0, dh, 2) / dh)
    c, s = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
    y = x.copy()
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
        y[..., 0::2], y[..., 1::2] = a * c - b * s, a * s + b * c
    else:
        a, b = x[..., :dh // 2], x[..., dh // 2:]
        y[..., :dh // 2], y[..., dh // 2:] = a * c - b * s, a * s + b * c
    return y


def attention(c, w, p, x, doc, layer):
    """One sequence x [T, d]."""
    T, dh = x.shape[0], c["head_dim"]
    nh, nk = c["num_attention_heads"], c["num_key_value_heads"]
    is4 = c["model_type"] == "llama4_text"
    rope = not is4 or c["no_rope_layers"][layer] == 1
    pos = np.arange(T) - doc
    q = (x @ w[p + "self_attn.q_proj.weight"].T).reshape(T, nh, dh)
    k = (x @ w[p + "self_attn.k_proj.weight"].T).reshape(T, nk, dh)
    v = (x @ w[p + "self_attn.v_proj.weight"].T).reshape(T, nk, dh)
    if rope:
        q = rotate(q, pos, c["rope_theta"], is4)
        k = rotate(k, pos, c["rope_theta"], is4)
        if is4 and c["use_qk_norm"]:
            q, k = rms(q, c["rms_norm_eps"]), rms(k, c["rms_norm_eps"])
    elif c["attn_temperature_tuning"]:
        step = np.floor((pos + 1) / c["floor_scale"])
        q = q * (1 + c["attn_scale"] * np.log(1 + step))[:, None, None]
    k, v = np.repeat(k, nh // nk, 1), np.repeat(v, nh // nk, 1)
    mask = (doc[:, None] == doc[None, :]) & (np.arange(T)[:, None] >= np.arange(T)[None, :])
    if rope and is4 and c["attention_chunk_size"]:
        chunk = pos // c["attention_chunk_size"]
        mask &= chunk[:, None] == chunk[None, :]
    s = np.exp(np.einsum("thd,uhd->htu", q, k) / np.sqrt(dh)) * mask
    s = s / s.sum(-1, keepdims=True)
    return np.einsum("htu,uhd->thd", s, v).reshape(T, nh * dh)


def moe(c, w, l, x, terms, routing):
    """x [n_tok, d]; every expert on every token, masked. Appends auxiliary terms."""
    kind, E, k = c["model_type"], c["num_local_experts"], c["num_experts_per_tok"]
    mixtral = kind == "mixtral"
    m = f"model.layers.{l}." + ("block_sparse_moe." if mixtral else "feed_forward.")
    logit = x @ w[m + ("gate.weight" if mixtral else "router.weight")].T
    if l not in routing:
        order = np.argsort(-logit.real, axis=1, kind="stable")[:, :k]
        routing[l] = np.zeros(logit.shape, bool)
        np.put_along_axis(routing[l], order, True, 1)
    chosen = routing[l]
    y = np.zeros_like(x)
    score = np.exp(logit) * chosen
    score = score / score.sum(1, keepdims=True) if mixtral else chosen / (1 + np.exp(-logit))
    for e in range(E):
        if mixtral:
            up = [w[m + f"experts.{e}.w{i}.weight"] for i in (1, 3, 2)]
            y = y + score[:, e:e + 1] * ffn(x, *up)
        else:
            gu = w[m + "experts.gate_up_proj"][e]
            f = gu.shape[0] // 2
            y = y + ffn(score[:, e:e + 1] * x, gu[:f], gu[f:],
                        w[m + "experts.down_proj"][e])
    if not mixtral:
        s = m + "shared_expert."
        y = y + ffn(x, *[w[s + n + "_proj.weight"] for n in ("gate", "up", "down")])
    p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    terms["aux"] += E * ((chosen.mean(0) / k) * p.mean(0)).sum()
    terms["z"] += (np.log(np.exp(logit).sum(1)) ** 2).mean()
    return y


def forward(c, w, b, coef, routing):
    """Token losses [n_tok] (complex) and the total loss."""
    token, target, doc = b
    n_seq, T = token.shape
    terms = {"aux": 0, "z": 0}
    x = w["model.embed_tokens.weight"][token.ravel()]
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        n = rms(x, c["rms_norm_eps"]) * w[p + "input_layernorm.weight"]
        n = n.reshape(n_seq, T, -1)
        a = np.concatenate([attention(c, w, p, n[s], doc[s], l) for s in range(n_seq)])
        x = x + a @ w[p + "self_attn.o_proj.weight"].T
        n = rms(x, c["rms_norm_eps"]) * w[p + "post_attention_layernorm.weight"]
        is4 = c["model_type"] == "llama4_text"
        if c["model_type"] == "mixtral" or (
                is4 and (l + 1) % c["interleave_moe_layer_step"] == 0):
            x = x + moe(c, w, l, n, terms, routing)
        else:
            m = p + ("feed_forward." if is4 else "mlp.")
            x = x + ffn(n, *[w[m + s + "_proj.weight"] for s in ("gate", "up", "down")])
    n = rms(x, c["rms_norm_eps"]) * w["model.norm.weight"]
    head = "model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    z = n @ w[head].T
    t = target.ravel()
    lse = np.log(np.exp(z).sum(1))
    counted = t >= 0
    nats = np.where(counted, lse - z[np.arange(t.size), np.maximum(t, 0)], 0)
    total = nats.sum() + coef["head_z"] * (lse[counted] ** 2).sum()
    total = total / counted.sum() + coef["aux"] * terms["aux"] + coef["z"] * terms["z"]
    return nats, total


def batch(V, n_seq, T):
    i = np.arange(n_seq * T, dtype=np.uint64)
    token = (hash32(i + np.uint64(1000003)) % np.uint64(V)).astype(int).reshape(n_seq, T)
    target = (hash32(i + np.uint64(2000003)) % np.uint64(V)).astype(int).reshape(n_seq, T)
    doc = np.zeros((n_seq, T), int)
    for s in range(n_seq):
        cut = 11 + 60 * s
        doc[s, cut:] = cut
        target[s, cut - 1] = -1
        target[s, T - 1] = -1
    return token, target, doc


def golden(name, c, coef, n_seq, T):
    w = {n: weights(n, s, is_norm) for n, s, is_norm in tensors(c)}
    b = batch(c["vocab_size"], n_seq, T)
    routing = {}
    nats, total = forward(c, w, b, coef, routing)
    out = {"name": name, "config": c, "coef": coef, "n_seq": n_seq, "n_ctx": T,
           "loss": float(total.real), "token_loss": [round(float(v), 9) for v in nats.real],
           "tensors": []}
    for n in w:
        real, grad = w[n], np.zeros(w[n].size)
        for i in range(real.size):
            step = real.astype(complex)
            step.ravel()[i] += 1j * H
            w[n] = step
            grad[i] = forward(c, w, b, coef, routing)[1].imag / H
        w[n] = real
        wave = np.cos(0.1 * np.arange(grad.size))
        out["tensors"].append({"name": n, "norm": float(np.sqrt((grad**2).sum())),
                               "probe": float((grad * wave).sum()),
                               "first": [float(v) for v in grad[:4]]})
        print(name, n, grad.size, file=sys.stderr)
    return out


COMMON = {"vocab_size": 18, "hidden_size": 12, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
          "rms_norm_eps": 1e-5, "rope_theta": 50.0, "max_position_embeddings": 128,
          "hidden_act": "silu"}

KINDS = [
    ("llama", {**COMMON, "model_type": "llama", "intermediate_size": 20,
               "tie_word_embeddings": True}, {"aux": 0, "z": 0, "head_z": 0.01}),
    ("mixtral", {**COMMON, "model_type": "mixtral", "intermediate_size": 8,
                 "num_local_experts": 4, "num_experts_per_tok": 2,
                 "tie_word_embeddings": False}, {"aux": 0.3, "z": 0.05, "head_z": 0}),
    ("llama4", {**COMMON, "model_type": "llama4_text", "intermediate_size": 8,
                "intermediate_size_mlp": 16, "num_local_experts": 4,
                "num_experts_per_tok": 1, "interleave_moe_layer_step": 2,
                "no_rope_layers": [1, 0], "attention_chunk_size": 20, "use_qk_norm": True,
                "attn_temperature_tuning": True, "attn_scale": 0.1, "floor_scale": 16.0,
                "tie_word_embeddings": False}, {"aux": 0.2, "z": 0.02, "head_z": 0}),
]

if __name__ == "__main__":
    result = {"version": 1, "kinds": [golden(n, c, k, 2, 96) for n, c, k in KINDS]}
    json.dump(result, sys.stdout, indent=1)
    print()
