// SPDX-License-Identifier: Apache-2.0
// How the model was made: figures, gate, curves, the run; and runs under way.
import { About, Curves, Live, Run, getJson } from "./api";
import { lineChart, short } from "./charts";
import { h } from "./dom";

const POLL_MS = 4000;

function tile(label: string, value: string, unit = ""): HTMLElement {
  return h("div", {}, h("dt", {}, label), h("dd", {}, value, unit ? h("small", {}, ` ${unit}`) : null));
}

function tiles(about: About): HTMLElement {
  const list = h("dl", { class: "tiles" });
  for (const [k, v] of Object.entries(about.facts ?? {}))
    list.append(tile(k, typeof v === "number" ? short(v) : v));
  if (about.run?.seconds != null) list.append(tile("training took", duration(about.run.seconds)));
  return list;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(0)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function gateSection(gate: NonNullable<About["gate"]>): HTMLElement {
  const rows = gate.checks.map(k => h("tr", {},
    h("td", { class: "verdict" },
      h("span", { class: `chip ${k.passed ? "pass" : "fail"}` }, k.passed ? "pass" : "fail")),
    h("td", { class: "figure" }, k.figure,
      k.bound && k.bound !== "value" ? ` (${k.bound} end of the 95 % interval)` : ""),
    h("td", { class: "num" }, k.value == null ? "none" : k.value.toFixed(4)),
    h("td", { class: "num" }, (k.min != null ? `≥ ${k.min} ` : "") + (k.max != null ? `≤ ${k.max}` : ""))));
  return h("section", {}, h("h2", {}, `Gate ${gate.gate}`),
    h("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "Checks of the gate" },
      h("table", {},
      h("thead", {}, h("tr", {}, h("th", {}, "Check"), h("th", {}, "Figure"),
        h("th", { class: "num" }, "Value"), h("th", { class: "num" }, "Wanted"))),
      h("tbody", {}, ...rows))));
}

/** Without what is no number: a loss that overflowed is null in JSON. */
function numbers(c: Curves): Curves {
  return Object.fromEntries(Object.entries(c).map(([k, rows]) =>
    [k, rows.filter(r => Number.isFinite(r[1]))]));
}

/** The charts that the curves allow. */
function charts(given: Curves): HTMLElement {
  const c = numbers(given);
  const out = h("div", { class: "charts" });
  const add = (name: string, title: string, unit: string): void => {
    const rows = c[name];
    if (rows?.length) out.append(lineChart(title, unit, rows, { clip: name === "tok_per_s" }));
  };
  add("loss", "Training loss", "nats/token");
  add("heldout_bpb", "Held-out loss", "bits/byte");
  add("tok_per_s", "Throughput", "tokens/s");
  if (c.load_min?.length && c.load_max?.length)
    out.append(lineChart("Expert load", "×", c.load_min, { band: c.load_max }));
  add("grad_norm", "Gradient norm", "");
  add("lr", "Learning rate", "");
  return out;
}

function runSection(r: Run): HTMLElement {
  const facts: [string, string | null][] = [
    ["Started", r.started ? r.started.replace("T", " ").replace("Z", " UTC") : null],
    ["Took", r.seconds != null ? duration(r.seconds) : null],
    ["Processor", r.cpu ? `${r.cpu}, ${r.threads ?? "?"} threads, kernels ${r.kernels ?? "?"}` : null],
    ["Speed", r.tok_per_s ? `${short(r.tok_per_s)} tokens/s, ${short(r.gflops ?? 0)} GFLOP/s` : null],
    ["Memory", r.peak_bytes ? `${(r.peak_bytes / 1e6).toFixed(0)} MB at most` : null],
    ["Program", r.smelt ? `smelt ${r.smelt}` : null]];
  const table = h("table", {}, h("tbody", {}, ...facts.filter(f => f[1])
    .map(([k, v]) => h("tr", {}, h("th", {}, k), h("td", {}, v)))));
  const section = h("section", {}, h("h2", {}, "The run"), h("div", { class: "panel" }, table));
  if (r.options)
    section.append(h("details", { class: "panel" }, h("summary", {}, "All options"),
      h("dl", { class: "options" }, ...Object.entries(r.options).map(([k, v]) =>
        h("div", {}, h("dt", {}, k), h("dd", {}, String(v)))))));
  return section;
}

/* The service reports a run once it has seen it move. */
async function pollLive(out: HTMLElement): Promise<void> {
  const live = await getJson<Live>("/api/live").catch(() => null);
  const runs = (live?.runs ?? []).filter(r => r.curves.loss?.length);
  if (runs.length === 0) out.replaceChildren();
  else out.replaceChildren(h("h2", {}, "Under way in this workspace"),
    ...runs.flatMap(r => [h("p", { class: "meta" },
      `run ${r.id.slice(0, 12)}, step ${r.curves.loss[r.curves.loss.length - 1][0]}`), charts(r.curves)]));
}

function follow(out: HTMLElement): void {
  void pollLive(out);
  const timer = setInterval(() => {
    if (!out.isConnected) clearInterval(timer);
    else if (!document.hidden) void pollLive(out);
  }, POLL_MS);
}

export async function trainingPage(about: About | null): Promise<HTMLElement> {
  const root = h("div", {}, h("h1", {}, "How this model was trained"));
  const curves = await getJson<Curves>("/api/curves");
  if (about) root.append(tiles(about));
  if (about?.gate) root.append(gateSection(about.gate));
  root.append(h("h2", {}, "Curves"));
  if (curves && Object.keys(curves).length > 0) root.append(charts(curves));
  else
    root.append(h("p", { class: "empty" },
      "The run that made this model left no curves in this workspace."));
  if (about?.run) root.append(runSection(about.run));
  const live = h("section", { "aria-label": "Runs under way" });
  root.append(live);
  queueMicrotask(() => follow(live));
  return root;
}
