# SPDX-License-Identifier: Apache-2.0
"""Where a measurement ran: CPU, memory, compiler, flags, commit, load."""
import datetime
import os
import platform
import re
import subprocess

# The features that decide which kernels run, here and in the rivals.
FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
            "avx512_fp16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8")


def first_line(command, cwd=None):
    try:
        done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, timeout=20,
                              check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else None


def cpu():
    info = {}
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    flags = set(info.get("flags", "").split())
    caches = {}
    for i in range(4):
        base = f"/sys/devices/system/cpu/cpu0/cache/index{i}"
        try:
            with open(base + "/level", encoding="ascii") as f, \
                    open(base + "/type", encoding="ascii") as t, \
                    open(base + "/size", encoding="ascii") as s:
                if t.read().strip() != "Instruction":
                    caches["L" + f.read().strip()] = s.read().strip()
        except OSError:
            pass
    return {"model": info.get("model name"), "cores": os.cpu_count(),
            "features": [x for x in FEATURES if x in flags], "caches": caches}


def kernels(described):
    """The widest rung that a CPU's features allow, in words."""
    for feature, words in (("amx_bf16", "AMX"), ("avx512f", "AVX-512 and no AMX"),
                           ("avx2", "AVX2 and no AVX-512")):
        if feature in described["features"]:
            return words
    return "neither AVX2 nor more"


def label(described):
    """What tells machines apart in a table: "2 x Intel Xeon"."""
    model = re.sub(r"\((R|TM)\)|Processor|CPU|@.*", "", described["model"] or "unknown")
    return f"{described['cores']} x {' '.join(model.split())}"


def memory_bytes():
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(re.search(r"MemTotal:\s+(\d+)", f.read()).group(1)) * 1024


def commit_of(build, source):
    """The last commit before the programs of a build directory were linked: HEAD may have
    moved on since."""
    for name in ("bench_step", "bench_loss", "CMakeCache.txt"):
        try:
            made = os.path.getmtime(os.path.join(build, name))
        except OSError:
            continue
        when = datetime.datetime.fromtimestamp(made, datetime.timezone.utc)
        return first_line(["git", "rev-list", "-1", f"--before={when.isoformat()}", "HEAD"],
                          source)
    return None


def build_facts(build):
    """Compiler, flags and commit of a CMake build directory."""
    cache = {}
    try:
        with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as f:
            for line in f:
                m = re.match(r"([A-Za-z_0-9]+):[A-Z]+=(.*)", line.strip())
                if m:
                    cache[m.group(1)] = m.group(2)
    except OSError:
        return {}
    kind = cache.get("CMAKE_BUILD_TYPE", "")
    source = cache.get("CMAKE_HOME_DIRECTORY", ".")
    status = first_line(["git", "status", "--porcelain", "--untracked-files=no"], source)
    return {"compiler": first_line([cache.get("CMAKE_C_COMPILER", "cc"), "--version"]),
            "build_type": kind,
            "flags": cache.get(f"CMAKE_C_FLAGS_{kind.upper()}", ""),
            "commit": commit_of(build, source), "dirty": status is not None}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(build, threads, pairs, ceilings, bench):
    out = {"format": "smelt-bench/1", "date": now(),
           "cpu": cpu(), "memory_bytes": memory_bytes(), "kernel": platform.release(),
           "load_average": bench.load_average,
           "threads": threads, "pairs": pairs, "ceilings": ceilings}
    out.update(build_facts(build))
    out["peers"] = {name: peer.facts for name, peer in bench.peers.items()}
    return out
