// SPDX-License-Identifier: Apache-2.0
// Line charts as SVG: raw points faint under a running mean, or a band between two series;
// the pointer reads a value.
import { h, s } from "./dom";

export type Row = [number, number];
const W = 320, H = 165, L = 38, R = 8, T = 8, B = 20;

/** Round numbers in lo..hi, some n of them, `least` or more apart. */
function ticks(lo: number, hi: number, n: number, least = 0): number[] {
  if (!(hi > lo)) return [lo];
  const raw = (hi - lo) / n, mag = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(least, [1, 2, 2.5, 5, 10].map(k => k * mag).find(k => k >= raw) ?? mag);
  const out: number[] = [];
  for (let x = Math.ceil(lo / step) * step; x <= hi + step * 1e-9; x += step) out.push(x);
  return out;
}

export function short(x: number): string {
  const a = Math.abs(x);
  if (a >= 1e9) return `${+(x / 1e9).toPrecision(3)}G`;
  if (a >= 1e6) return `${+(x / 1e6).toPrecision(3)}M`;
  if (a >= 1e4) return `${+(x / 1e3).toPrecision(3)}k`;
  return `${+x.toPrecision(3)}`;
}

function runningMean(rows: Row[], width: number): Row[] {
  let sum = 0;
  return rows.map(([x, y], i) => {
    sum += y;
    if (i >= width) sum -= rows[i - width][1];
    return [x, sum / Math.min(i + 1, width)];
  });
}

function extent(values: number[]): [number, number] {
  let lo = Infinity, hi = -Infinity;
  for (const v of values) if (Number.isFinite(v)) { lo = Math.min(lo, v); hi = Math.max(hi, v); }
  if (lo > hi) return [0, 1];
  const room = Math.abs(lo) / 20 || 0.5; // around a single value
  return lo === hi ? [lo - room, hi + room] : [lo, hi];
}

function nearest(rows: Row[], x: number): number {
  let best = 0;
  for (let i = 1; i < rows.length; i++)
    if (Math.abs(rows[i][0] - x) < Math.abs(rows[best][0] - x)) best = i;
  return best;
}

/** Twice the median, so that a few wild values do not flatten the rest. */
function ceiling(rows: Row[]): number {
  const y = rows.map(r => r[1]).sort((a, b) => a - b);
  return 2 * y[Math.floor(y.length / 2)];
}

export interface Look {
  band?: Row[];   // a second series, drawn as the other edge of an area; 1 is the even share
  clip?: boolean; // values far above the median are drawn at the upper edge
}

export function lineChart(title: string, unit: string, given: Row[], { band, clip }: Look = {}): HTMLElement {
  const top = clip ? ceiling(given) : Infinity;
  const rows: Row[] = given.map(([x, y]) => [x, Math.min(y, top)]);
  const [x0, x1] = extent(rows.map(r => r[0]));
  const [y0, y1] = extent([...rows, ...(band ?? [])].map(r => r[1]).concat(band ? [1] : []));
  const px = (v: number): number => L + (v - x0) / (x1 - x0) * (W - L - R);
  const py = (v: number): number => H - B - (v - y0) / (y1 - y0) * (H - T - B);
  const path = (v: Row[], join = "M"): string =>
    v.map(([x, y], i) => `${i ? "L" : join}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
  const label = (i: number): string => {
    const upper = band && band[Math.min(i, band.length - 1)][1];
    return upper === undefined ? `${short(given[i][1])} ${unit}`
      : `${short(given[i][1])} to ${short(upper)}${unit}`;
  };
  const last = label(rows.length - 1);
  const steps = `steps ${rows[0][0]} to ${rows[rows.length - 1][0]}`;
  const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img",
    "aria-label": `${title} over ${steps}: from ${label(0)}, at the end ${last}` });
  for (const t of ticks(y0, y1, 5))
    svg.append(s("line", { class: "grid", x1: L, x2: W - R, y1: py(t), y2: py(t) }),
      s("text", { x: L - 5, y: py(t) + 3, "text-anchor": "end" }, short(t)));
  for (const t of ticks(x0, x1, 5, 1))
    svg.append(s("text", { x: Math.min(px(t), W - R - 4), y: H - 6, "text-anchor": "middle" }, short(t)));
  if (band) {
    svg.append(s("line", { class: "even", x1: L, x2: W - R, y1: py(1), y2: py(1) }),
      s("path", { class: "band", d: `${path(rows)}${path([...band].reverse(), "L")}Z` }),
      s("path", { class: "line", d: path(rows) }), s("path", { class: "line", d: path(band) }));
  } else if (rows.length === 1) {
    svg.append(s("circle", { class: "dot", cx: px(rows[0][0]), cy: py(rows[0][1]), r: 3 }));
  } else {
    const width = Math.max(1, Math.round(rows.length / 40));
    if (width > 1) svg.append(s("path", { class: "raw", d: path(rows) }));
    svg.append(s("path", { class: "line", d: path(runningMean(rows, width)) }));
  }
  const value = h("span", {}, last);
  const hair = s("line", { class: "hair", y1: T, y2: H - B, x1: 0, x2: 0, visibility: "hidden" });
  svg.append(hair);
  svg.addEventListener("pointermove", e => {
    const box = svg.getBoundingClientRect();
    const i = nearest(rows, x0 + ((e.clientX - box.left) / box.width * W - L) / (W - L - R) * (x1 - x0));
    for (const k of ["x1", "x2"]) hair.setAttribute(k, String(px(rows[i][0])));
    hair.setAttribute("visibility", "visible");
    value.textContent = `step ${short(rows[i][0])}: ${label(i)}`;
  });
  svg.addEventListener("pointerleave", () => {
    hair.setAttribute("visibility", "hidden");
    value.textContent = last;
  });
  return h("figure", {}, h("figcaption", {}, title, value), svg);
}
