// SPDX-License-Identifier: Apache-2.0
// Completion: a text is continued as it streams in; Stop cancels it.
import { Ending, Sampling, complete } from "./api";
import { field, h, message } from "./dom";

const controls: [keyof Sampling, string, string, string, string][] = [
  ["max_tokens", "Tokens", "160", "1", ""], ["temperature", "Temperature", "0.8", "any", "100"],
  ["top_p", "Top-p", "0.95", "any", "1"], ["top_k", "Top-k", "0", "1", ""],
  ["min_p", "Min-p", "0", "any", "1"], ["seed", "Seed", "1", "1", ""]];

function sampling(row: HTMLElement): Sampling {
  const value = (name: string): number => Number(field<HTMLInputElement>(row, `[name=${name}]`).value);
  return { max_tokens: value("max_tokens"), temperature: value("temperature"), top_p: value("top_p"),
    top_k: value("top_k"), min_p: value("min_p"), seed: value("seed") };
}

/* "length" is said of both limits: the number that was asked for, and the context. */
function ending(end: Ending, asked: number): string {
  if (end.why === "stop") return "the text ended";
  if (end.why !== "length") return end.why;
  return end.nTokens < asked ? "the context is full" : "reached the number of tokens";
}

export function completePage(): HTMLElement {
  const prompt = h("textarea", { "aria-label": "Text to continue", spellcheck: "false" });
  prompt.value = "# NAME\n\nlsof -";
  const row = h("div", { class: "controls" });
  for (const [name, label, value, step, max] of controls)
    row.append(h("label", {}, label,
      h("input", { type: "number", name, value, step, min: "0", ...(max && { max }), required: "" })));
  const go = h("button", {}, "Continue");
  const stop = h("button", { class: "plain", type: "button", disabled: "" }, "Stop");
  row.append(h("div", { class: "buttons" }, stop, go));
  const out = h("pre", { class: "output", tabindex: "0", "aria-label": "Text" });
  const status = h("p", { class: "meta", role: "status" });
  let abort = new AbortController();
  const isBusy = (): boolean => !stop.disabled;
  const setBusy = (busy: boolean): void => {
    const isStopFocused = document.activeElement === stop;
    go.setAttribute("aria-disabled", String(busy)); // a disabled one would lose the focus
    stop.disabled = !busy;
    out.classList.toggle("busy", busy);
    if (isStopFocused) go.focus();
  };
  const run = async (): Promise<void> => {
    abort = new AbortController();
    setBusy(true);
    status.className = "meta";
    status.textContent = "";
    const text = document.createTextNode("");
    out.replaceChildren(h("span", { class: "given" }, prompt.value), text);
    const t0 = performance.now();
    try {
      const how = sampling(row);
      const end = await complete(prompt.value, how, abort.signal, piece => { text.data += piece; });
      const seconds = (performance.now() - t0) / 1000;
      status.textContent =
        `${end.nTokens} tokens in ${seconds.toFixed(1)} s; ${ending(end, how.max_tokens)}. ` +
        "The same request with the same seed gives the same text.";
    } catch (err) {
      const stopped = abort.signal.aborted;
      status.textContent = stopped ? "Stopped." : message(err);
      status.className = stopped ? "meta" : "error";
    }
    setBusy(false);
  };
  const form = h("form", {}, prompt, row);
  form.addEventListener("submit", e => { e.preventDefault(); if (!isBusy()) void run(); });
  prompt.addEventListener("keydown", e => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) form.requestSubmit();
  });
  stop.addEventListener("click", () => abort.abort());
  window.addEventListener("hashchange", () => abort.abort(), { once: true });
  return h("div", {}, h("h1", {}, "Continue a text"),
    h("p", { class: "lead" },
      "This is a base model: it continues text and has not been taught to chat. Ctrl+Enter continues too."),
    form, out, status);
}
