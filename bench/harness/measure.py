# SPDX-License-Identifier: Apache-2.0
"""Run smelt's bench programs and rivals, and turn pairs of runs into figures."""
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

from . import machine

TIMEOUT_S = 3600
# A rival's f32 product slower than this share of ours runs on an unoptimised BLAS.
SLOW_BLAS_FRAC = 0.4
# Kernels of OpenBLAS by what they use.  It knows CPUs by their model number, and takes for
# one that is newer than itself Prescott (SSE3, a fifth of the speed) where Intel made it,
# Haswell (AVX2, half the speed where there is AVX-512) where AMD did.
CORES_WITHOUT_AVX = {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Atom",
                     "Opteron", "Opteron_SSE3", "Barcelona", "Bobcat"}
CORES_WITH_AVX512 = {"SkylakeX", "Cooperlake", "SapphireRapids"}
# Both sides without AVX-512 and AMX: what most laptops are.
PEER_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2",
             "OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2"}


class RunError(Exception):
    """A program failed, or said something that is not a figure."""


@dataclass
class Peer:
    name: str
    path: str
    python: str
    facts: dict = field(default_factory=dict)


def blas_core(python):
    """The kernels that OpenBLAS chooses in torch's python; None with another BLAS."""
    try:
        done = subprocess.run([python, "-c", "import torch"], text=True, capture_output=True,
                              env=dict(os.environ, OPENBLAS_VERBOSE="2"),
                              timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise RunError(f"{python}: {e}") from e
    found = re.findall(r"^Core: (\w+)", done.stderr + done.stdout, re.M)
    return found[-1] if found else None


def fit_blas(python):
    """Environment in which OpenBLAS uses the kernels that this CPU can run: empty where
    it finds them itself."""
    features, core = machine.cpu()["features"], blas_core(python)
    if "avx512f" in features and core and core not in CORES_WITH_AVX512:
        return {"OPENBLAS_CORETYPE": "SkylakeX"}
    if "avx2" in features and core in CORES_WITHOUT_AVX:
        return {"OPENBLAS_CORETYPE": "Haswell"}
    return {}


def sha256_of(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def parse_peers(arguments, python):
    """{"torch": Peer} from ["torch=PATH"]; ValueError names the bad one."""
    peers = {}
    for a in arguments:
        name, _, path = a.partition("=")
        if name != "torch" or not path:
            raise ValueError(f"--peer {a}: want torch=PATH")
        if not os.path.isfile(path):
            raise ValueError(f"--peer {a}: no such file")
        peers[name] = Peer(name, os.path.abspath(path), python)
    return peers


def run_program(command, env=None):
    """Standard output of a program; RunError with the end of its errors."""
    full = dict(os.environ, **(env or {}))
    try:
        done = subprocess.run(command, env=full, text=True, capture_output=True,
                              timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise RunError(f"{command[0]}: {e}") from e
    if done.returncode != 0:
        tail = done.stderr.strip().splitlines()[-3:]
        raise RunError(f"{' '.join(command)}: status {done.returncode}: {' | '.join(tail)}")
    return done.stdout


def last_json(text, who):
    lines = text.strip().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError) as e:
        raise RunError(f"{who}: the last line is no JSON: {lines[-1:]}") from e


# What a python with torch says of itself; maps tell which BLAS it really loaded.
ASK_TORCH = r"""
import json, sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a, b = torch.rand(768, 768), torch.rand(768, 768)
best = 1e9
for _ in range(8):
    t = time.perf_counter(); torch.mm(a, b); best = min(best, time.perf_counter() - t)
m = torch.nn.Linear(768, 768); best_linear = 1e9
for _ in range(8):
    t = time.perf_counter(); m(a); best_linear = min(best_linear, time.perf_counter() - t)
blas = sorted({l.split()[-1] for l in open('/proc/self/maps')
               if any(w in l for w in ('blas', 'mkl_', 'libblis')) and '/' in l})
config = torch.__config__.show()
mkldnn = [l.strip(' -') for l in config.splitlines() if 'MKL-DNN' in l]
print(json.dumps({'version': torch.__version__, 'python': sys.version.split()[0],
                  'onednn': mkldnn[0] if mkldnn else None, 'blas': blas,
                  'f32_mm_gflops': 2 * 768**3 / best / 1e9,
                  'f32_linear_gflops': 2 * 768**3 / best_linear / 1e9}))
"""
PEER_LINE = re.compile(r"(median|best)\s+([0-9.]+) ms/step")


class Bench:
    """The build, the rivals, and how often to run them."""

    def __init__(self, build, threads, pairs, tokens, peers):
        self.build, self.threads, self.pairs = os.path.abspath(build), threads, pairs
        self.tokens, self.peers = tokens, peers
        self.load_average = [round(x, 2) for x in os.getloadavg()]
        self._ceilings = {}
        self._peer_env = None

    def program(self, name):
        path = os.path.join(self.build, name)
        if not os.access(path, os.X_OK):
            raise RunError(f"{path}: no such program; build it, or name --build DIR")
        return path

    def say(self, text):
        print(f"  {text}", file=sys.stderr, flush=True)

    def ceilings(self, rung=None, again=False):
        """What the machine can do at best at a rung; measured once, or `again`."""
        if again or rung not in self._ceilings:
            env = {"SMELT_CPU": rung} if rung else None
            self._ceilings[rung] = last_json(run_program(
                [self.program("bench_ceiling"), "--threads", str(self.threads)], env),
                "bench_ceiling")
        return self._ceilings[rung]

    def step(self, shape, profile="bf16/1", seq=4, ctx=512, steps=4, warmup=1, shards=None,
             rung=None, threads=None, settings=(), operations=False):
        """One process of full training steps; the object that bench_step prints."""
        command = [self.program("bench_step"), shape, "--profile", profile, "--seq",
                   str(seq), "--ctx", str(ctx), "--steps", str(steps), "--warmup",
                   str(warmup), "--threads", str(threads or self.threads), "--json"]
        if shards:
            command += ["--shards", str(shards)]
        if operations:
            command.append("--operations")
        for s in settings:
            command += ["--set", s]
        r = last_json(run_program(command, {"SMELT_CPU": rung} if rung else None),
                      "bench_step")
        r["busy"] = r["median_cpu_s"] / r["median_step_s"] / r["threads"]
        self.say(f"smelt {shape} {r['profile']} {r['rung']} V={r['n_shard']}: "
                 f"{r['tok_per_s']:.0f} tokens/s, {r['gflops']:.0f} GFLOP/s, "
                 f"{100 * r['busy']:.0f} % of {r['threads']} cores")
        return r

    def ask_peer(self, env=None):
        """Version, BLAS and speed of products of torch's python under an environment."""
        peer = self.peers["torch"]
        text = run_program([peer.python, "-c", ASK_TORCH, str(self.threads)],
                           dict(self.peer_env(), **(env or {})))
        return last_json(text, "torch")

    def peer_env(self):
        """Threads, and kernels that fit the CPU."""
        if self._peer_env is None:
            self._peer_env = dict(fit_blas(self.peers["torch"].python),
                                  OMP_NUM_THREADS=str(self.threads),
                                  OPENBLAS_NUM_THREADS=str(self.threads))
        return self._peer_env

    def check_peer(self, env=None):
        """Facts of torch under an environment: version, BLAS, speed of products."""
        peer = self.peers["torch"]
        facts = self.ask_peer(env)
        if not peer.facts or not env:
            peer.facts = dict(facts, script=os.path.basename(peer.path),
                              script_sha256=sha256_of(peer.path), env=self.peer_env())
        return facts

    def slow_blas(self, facts, own):
        """None, or why a comparison of f32 would not be fair; own: GFLOP/s of our product
        kernel in the same run."""
        rate = min(facts["f32_mm_gflops"], facts["f32_linear_gflops"])
        if rate >= SLOW_BLAS_FRAC * own:
            return None
        return (f"torch multiplies f32 at {rate:.0f} GFLOP/s where {own:.0f} is possible "
                f"(BLAS {', '.join(facts['blas']) or 'unknown'}): install "
                "libopenblas0-pthread")

    def torch(self, which, dtype, seq=4, ctx=512, steps=3, env=None):
        """Tokens a second of the peer's script; its median step, or its best if the
        script reports that (which favours the peer)."""
        peer = self.peers["torch"]
        command = [peer.python, peer.path, which, dtype, str(self.threads), str(seq),
                   str(ctx), str(steps)]
        text = run_program(command, dict(self.peer_env(), **(env or {})))
        found = PEER_LINE.search(text)
        if not found:
            raise RunError(f"{peer.path}: no 'median|best X ms/step' in: {text.strip()[-200:]}")
        peer.facts["statistic"] = found.group(1)
        rate = seq * ctx / float(found.group(2)) * 1e3
        self.say(f"torch {which} {dtype}: {rate:.0f} tokens/s ({found.group(1)} step)")
        return {"tok_per_s": rate, "statistic": found.group(1)}


def pair(bench, a, b, ratio):
    """Run a b a b ...; [(ratio(a, b), a, b)]."""
    out = []
    for i in range(bench.pairs):
        x, y = a(), b()
        out.append((ratio(x, y), x, y))
        bench.say(f"pair {i + 1} of {bench.pairs}: {out[-1][0]:.3f}")
    return out


def median(values):
    return statistics.median(values)
