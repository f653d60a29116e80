// SPDX-License-Identifier: Apache-2.0
// A line chart as SVG: raw points faint, a running mean on top, or a band between two series.
import { h, s } from "./dom";

const W = 320, H = 170, L = 44, R = 8, T = 10, B = 22;

function ticks(lo: number, hi: number, n: number): number[] {
  if (!(hi > lo)) return [lo];
  const raw = (hi - lo) / n, mag = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(k => k * mag).find(k => k >= raw) ?? mag;
  const out: number[] = [];
  for (let x = Math.ceil(lo / step) * step; x <= hi + step * 1e-9; x += step) out.push(x);
  return out;
}

export function short(x: number): string {
  const a = Math.abs(x);
  if (a >= 1e6) return `${+(x / 1e6).toPrecision(3)}M`;
  if (a >= 1e4) return `${+(x / 1e3).toPrecision(3)}k`;
  return `${+x.toPrecision(3)}`;
}

function runningMean(y: number[], width: number): number[] {
  let sum = 0;
  return y.map((v, i) => {
    sum += v;
    if (i >= width) sum -= y[i - width];
    return sum / Math.min(i + 1, width);
  });
}

/** Largest-to-smallest range without the first tenth's spikes for curves that fall fast. */
function extent(series: number[][]): [number, number] {
  const all = series.flat().filter(Number.isFinite);
  if (all.length === 0) return [0, 1];
  let lo = Math.min(...all), hi = Math.max(...all);
  if (lo === hi) { lo -= 0.5; hi += 0.5; }
  return [lo, hi];
}

export function lineChart(title: string, unit: string, x: number[], y: number[], band?: number[]): HTMLElement {
  const [x0, x1] = extent([x]);
  const [y0, y1] = extent(band ? [y, band] : [y]);
  const px = (v: number): number => L + (v - x0) / (x1 - x0) * (W - L - R);
  const py = (v: number): number => H - B - (v - y0) / (y1 - y0) * (H - T - B);
  const path = (v: number[]): string =>
    v.map((w, i) => `${i ? "L" : "M"}${px(x[i]).toFixed(1)} ${py(w).toFixed(1)}`).join("");
  const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title} over steps` });
  for (const t of ticks(y0, y1, 4))
    svg.append(s("line", { class: "grid", x1: L, x2: W - R, y1: py(t), y2: py(t) }),
      s("text", { x: L - 6, y: py(t) + 3, "text-anchor": "end" }, short(t)));
  for (const t of ticks(x0, x1, 4))
    svg.append(s("text", { x: px(t), y: H - 6, "text-anchor": "middle" }, short(t)));
  if (band) {
    const back = [...x.keys()].reverse().map(i => `L${px(x[i]).toFixed(1)} ${py(band[i]).toFixed(1)}`).join("");
    svg.append(s("path", { class: "band", d: `${path(y)}${back}Z` }), s("path", { class: "line", d: path(y) }),
      s("path", { class: "line", d: path(band) }));
  } else {
    const mean = runningMean(y, Math.max(1, Math.round(y.length / 40)));
    svg.append(s("path", { class: "raw", d: path(y) }), s("path", { class: "line", d: path(mean) }));
  }
  const last = y[y.length - 1];
  const label = band ? `${short(last)} to ${short(band[band.length - 1])} ${unit}` : `${short(last)} ${unit}`;
  return h("figure", {}, h("figcaption", {}, title, h("span", {}, label)), svg);
}
