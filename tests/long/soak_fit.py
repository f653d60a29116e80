#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does resident memory grow?  Lines "SECONDS KILOBYTES" (anonymous pages) of one run.

The first half is warm-up: the catalog's page cache fills (2 MB).  What is left is cut into
twelve blocks of equal time and a line is fitted to their medians (samples next to one
another are not independent, blocks nearly are; an evaluation's buffers do not count).  Its
slope is given per run with an interval of 95 %.  It passes when the growth is below 16 bytes
a step, half of the smallest block that malloc hands out (nothing can be allocated and
forgotten every step, nor every other one), and is known to half of that.
"""
import statistics
import sys

T_10 = 2.228  # Student's t, 10 degrees of freedom, 95 % two-sided
BLOCKS = 12
BYTES_A_STEP = 16.0


def blocks_of(samples):
    first, last = samples[0][0], samples[-1][0]
    first += (last - first) / 2
    kept = [s for s in samples if s[0] >= first]
    width = (last - first) / BLOCKS
    cut = [[] for _ in range(BLOCKS)]
    for t, kb in kept:
        cut[min(int((t - first) / width), BLOCKS - 1)].append((t, kb))
    if any(len(c) == 0 for c in cut):
        sys.exit(f"{len(kept)} samples after the warm-up: too few")
    return [(sum(t for t, _ in c) / len(c), statistics.median(k for _, k in c)) for c in cut]


def fit(points):
    n = len(points)
    mt, mk = sum(t for t, _ in points) / n, sum(k for _, k in points) / n
    stt = sum((t - mt) ** 2 for t, _ in points)
    slope = sum((t - mt) * (k - mk) for t, k in points) / stt
    rest = sum((k - mk - slope * (t - mt)) ** 2 for t, k in points)
    return slope, (rest / (n - 2) / stt) ** 0.5


def main():
    path, steps = sys.argv[1], int(sys.argv[2])
    with open(path) as f:
        samples = [tuple(float(x) for x in line.split()) for line in f]
    samples = samples[:-max(3, len(samples) // 20)]  # the last ones see the run end
    seconds = samples[-1][0] - samples[0][0]
    slope, err = fit(blocks_of(samples))
    growth, half = slope * seconds, T_10 * err * seconds
    bound = BYTES_A_STEP * steps / 1024
    print(f"{len(samples)} samples in {seconds:.0f} s, resident {samples[-1][1] / 1024:.1f} MiB"
          f" at the end, {max(k for _, k in samples) / 1024:.1f} at most; growth a run"
          f" {growth:+.1f} kB, 95 % interval {growth - half:+.1f}..{growth + half:+.1f} kB"
          f" (bound {bound:.0f} kB)")
    if half > bound / 2:
        print("the samples scatter too much to tell: run it on a quieter machine")
    sys.exit(0 if abs(growth) <= bound and half <= bound / 2 else 1)


if __name__ == "__main__":
    main()
