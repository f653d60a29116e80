// SPDX-License-Identifier: Apache-2.0
// The four pages.  Each returns its root element; work under way stops when the page is left.
import { About, Answer, Passage, ask, complete, getJson, getText, Curves, Sampling } from "./api";
import { lineChart, short } from "./charts";
import { field, h } from "./dom";

function message(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

// ---------------------------------------------------------------------- ask

function citation(p: Passage): HTMLElement {
  const from = p.package ? `${p.package} ${p.version}` : p.path;
  return h("cite", { class: "cite" }, h("b", {}, p.title || p.path), p.heading ? `, ${p.heading}` : "",
    ` · ${from} · licence ${p.licence}`);
}

function source(p: Passage): HTMLElement {
  return h("li", {}, h("details", {},
    h("summary", {}, h("b", {}, p.title || p.path), p.summary ? ` · ${p.summary}` : "",
      h("span", { class: "meta" }, `${p.heading ? p.heading + " · " : ""}${p.package} ${p.version} · ` +
        `licence ${p.licence} · score ${p.score.toFixed(2)} (page ${p.terms.page.toFixed(2)}, lead ${p.terms.lead.toFixed(2)}, ` +
        `passage ${p.terms.passage.toFixed(2)}, title ${p.terms.title.toFixed(2)}, model ${p.terms.model.toFixed(2)})`)),
    h("pre", {}, p.text)));
}

function showAnswer(out: HTMLElement, a: Answer): void {
  if (a.passages.length === 0) {
    out.replaceChildren(h("p", { class: "note" }, "Nothing in the index matches these words. Try others."));
    return;
  }
  out.replaceChildren(
    h("section", { class: "answer", "aria-label": "Answer" }, h("p", {}, a.answer), citation(a.passages[0])),
    h("h2", {}, "Passages"),
    h("ol", { class: "sources" }, ...a.passages.map(source)));
}

export function askPage(about: About | null): HTMLElement {
  const out = h("div", { "aria-live": "polite" });
  const input = h("input", { type: "text", name: "q", "aria-label": "Question", autocomplete: "off",
    placeholder: "How do I see which process holds a file open?" }) as HTMLInputElement;
  const button = h("button", {}, "Ask") as HTMLButtonElement;
  const run = async (): Promise<void> => {
    const question = input.value.trim() || input.placeholder;
    input.value = question;
    button.disabled = true;
    try {
      showAnswer(out, await ask(question));
    } catch (e) {
      out.replaceChildren(h("p", { class: "error" }, message(e)));
    }
    button.disabled = false;
  };
  const form = h("form", { class: "question" }, input, button);
  form.addEventListener("submit", e => { e.preventDefault(); void run(); });
  const examples = h("div", { class: "examples" });
  for (const q of about?.examples ?? []) {
    const b = h("button", { class: "plain", type: "button" }, q);
    b.addEventListener("click", () => { input.value = q; void run(); });
    examples.append(b);
  }
  return h("div", {}, h("h1", {}, "Ask the documents"),
    h("p", { class: "lead" }, "Answers are sentences of a passage, with the page, package, version and licence they come from."),
    form, examples, out);
}

// ----------------------------------------------------------------- complete

const controls: [keyof Sampling, string, string, string][] = [
  ["max_tokens", "Tokens", "160", "1"], ["temperature", "Temperature", "0.8", "0.1"], ["top_p", "Top-p", "0.95", "0.05"],
  ["top_k", "Top-k", "0", "1"], ["min_p", "Min-p", "0", "0.01"], ["seed", "Seed", "1", "1"]];

export function chatPage(): HTMLElement {
  const prompt = h("textarea", { "aria-label": "Text to continue" }) as HTMLTextAreaElement;
  prompt.value = "# NAME\n\nlsof - ";
  const row = h("div", { class: "controls" });
  for (const [name, label, value, step] of controls)
    row.append(h("label", {}, label, h("input", { type: "number", name, value, step, min: "0" })));
  const go = h("button", {}, "Continue") as HTMLButtonElement;
  const stop = h("button", { class: "plain", type: "button", disabled: "" }, "Stop") as HTMLButtonElement;
  row.append(go, stop);
  const out = h("pre", { class: "output", "aria-live": "polite" });
  const status = h("p", { class: "meta" });
  let abort = new AbortController();
  const form = h("form", {}, prompt, row);
  form.addEventListener("submit", async e => {
    e.preventDefault();
    abort = new AbortController();
    go.disabled = true; stop.disabled = false;
    const text = document.createTextNode("");
    out.replaceChildren(h("span", { class: "given" }, prompt.value), text);
    const sampling = Object.fromEntries(controls.map(([name]) =>
      [name, Number(field<HTMLInputElement>(row, `[name=${name}]`).value)])) as unknown as Sampling;
    const t0 = performance.now();
    try {
      const why = await complete(prompt.value, sampling, abort.signal, piece => { text.data += piece; });
      status.textContent = `finished (${why}) after ${((performance.now() - t0) / 1000).toFixed(1)} s; ` +
        "the same request with the same seed gives the same text";
      status.className = "meta";
    } catch (err) {
      status.textContent = abort.signal.aborted ? "stopped" : message(err);
      status.className = abort.signal.aborted ? "meta" : "error";
    }
    go.disabled = false; stop.disabled = true;
  });
  stop.addEventListener("click", () => abort.abort());
  window.addEventListener("hashchange", () => abort.abort(), { once: true });
  return h("div", {}, h("h1", {}, "Continue a text"),
    h("p", { class: "lead" }, "This is a base model: it continues text as plain completion and has not been taught to chat."),
    form, out, status);
}

// ----------------------------------------------------------------- training

export async function trainingPage(about: About | null): Promise<HTMLElement> {
  const root = h("div", {}, h("h1", {}, "How this model was trained"));
  const c = await getJson<Curves>("/api/curves");
  if (about?.facts)
    root.append(h("table", {}, ...Object.entries(about.facts).map(([k, v]) =>
      h("tr", {}, h("th", {}, k), h("td", { class: typeof v === "number" ? "num" : "" },
        typeof v === "number" ? short(v) : v)))));
  if (about?.gate) {
    root.append(h("h2", {}, `Gate ${about.gate.gate}: `, h("span", { class: about.gate.passed ? "pass" : "fail" },
      about.gate.passed ? "passed" : "failed")));
    root.append(h("table", {}, ...about.gate.checks.map(k => h("tr", {},
      h("td", { class: k.passed ? "pass" : "fail" }, k.passed ? "pass" : "FAIL"), h("td", {}, k.figure),
      h("td", { class: "num" }, k.value == null ? "none" : k.value.toFixed(4)),
      h("td", {}, (k.min != null ? `≥ ${k.min} ` : "") + (k.max != null ? `≤ ${k.max}` : ""))))));
  }
  if (!c || !c.step?.length) {
    root.append(h("p", { class: "note" }, "The run that made this model left no curves in this workspace."));
    return root;
  }
  const charts = h("div", { class: "charts" });
  charts.append(lineChart("Loss", "nats/token", c.step, c.loss));
  if (c.tok_per_s) charts.append(lineChart("Throughput", "tokens/s", c.step, c.tok_per_s));
  if (c.load_min && c.load_max)
    charts.append(lineChart("Expert load, idlest and busiest", "× mean", c.step, c.load_min, c.load_max));
  if (c.grad_norm) charts.append(lineChart("Gradient norm", "", c.step, c.grad_norm));
  root.append(h("h2", {}, "Curves"), charts);
  return root;
}

// ------------------------------------------------------------------ lineage

export async function lineagePage(about: About | null): Promise<HTMLElement> {
  const root = h("div", {}, h("h1", {}, "Where these answers come from"));
  if (about?.content) root.append(h("p", { class: "meta" }, `content id ${about.content}`));
  const svg = await getText("/api/lineage.svg");
  if (!svg) {
    root.append(h("p", { class: "note" }, "The service was started without a lineage graph."));
    return root;
  }
  const image = h("img", { src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`,
    alt: "Lineage graph: sources, dataset, tokenizer, model, evaluation and release" });
  root.append(h("div", { class: "graph" }, image));
  return root;
}
