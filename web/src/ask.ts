// SPDX-License-Identifier: Apache-2.0
// Questions: an answer in sentences of a passage, with what it comes from.
import { About, Answer, Passage, ask } from "./api";
import { SLOW_MS, fragment, h, marked, message } from "./dom";

function origin(p: Passage): string {
  return p.package ? `${p.package} ${p.version}`.trim() : p.path;
}

function licence(p: Passage): string {
  return `licence ${p.licence || "unknown"}`;
}

function citation(p: Passage): HTMLElement {
  return h("cite", { class: "cite" }, "From ", h("b", {}, p.title || p.path),
    p.heading ? `, ${p.heading}` : "", ` · ${origin(p)} · ${licence(p)}`);
}

function score(p: Passage): string {
  const t = p.terms;
  return `Score ${p.score.toFixed(2)}; before their weights: page ${t.page.toFixed(2)}, ` +
    `passage ${t.passage.toFixed(2)}, title ${t.title.toFixed(2)}` +
    (t.model ? `, model ${t.model.toFixed(2)}` : "");
}

function source(p: Passage, question: string): HTMLElement {
  const place = [p.heading, p.path, licence(p)].filter(Boolean).join(" · ");
  return h("li", {}, h("details", {},
    h("summary", {},
      h("span", {}, h("b", {}, p.title || p.path), p.summary ? ` · ${p.summary}` : ""),
      h("span", { class: "from" }, origin(p))),
    h("div", { class: "more" }, h("pre", {}, ...marked(p.text, question)),
      h("p", { class: "meta" }, place), h("p", { class: "meta" }, score(p)))));
}

function showAnswer(out: HTMLElement, a: Answer, about: About | null, ms: number): void {
  if (a.passages.length === 0) {
    out.replaceChildren(h("p", { class: "empty" },
      "Nothing found: no document holds enough of these words. Try others."));
    return;
  }
  out.replaceChildren(
    h("section", { class: "answer", "aria-label": "Answer" },
      h("p", {}, ...marked(a.answer || a.passages[0].text, a.question)), citation(a.passages[0])),
    h("h2", {}, "Passages"),
    h("ol", { class: "sources" }, ...a.passages.map(p => source(p, a.question))),
    h("p", { class: "meta" },
      `Best ${a.passages.length} of ${count(about?.index?.documents)} documents · ${ms.toFixed(0)} ms`));
}

function count(n: number | undefined): string {
  return n?.toLocaleString("en") ?? "all";
}

function lead(about: About | null): string {
  const how = "Answers are sentences of a passage, shown with the page, package, version " +
    "and licence they come from.";
  const n = about?.index;
  return n ? `${count(n.documents)} documents, ${count(n.passages)} passages. ${how}` : how;
}

/* Each question is an entry of the history, so that Back leads to the one before. */
function remember(question: string): void {
  const hash = `#ask?q=${encodeURIComponent(question)}`;
  const isShown = fragment().query.get("q") === question;
  history[isShown ? "replaceState" : "pushState"](null, "", hash);
}

export function askPage(about: About | null, given: string): HTMLElement {
  const out = h("div", { "aria-live": "polite" });
  const input = h("input", { type: "search", name: "q", "aria-label": "Question", autocomplete: "off",
    maxlength: "1000", placeholder: about?.examples?.[0] ?? "What do you want to know?" });
  let abort = new AbortController(); // of the question before: an answer belongs to the last
  const run = async (question: string): Promise<void> => {
    input.value = question;
    if (!question) { input.focus(); return; }
    abort.abort();
    const { signal } = abort = new AbortController();
    remember(question);
    const wait = setTimeout(() =>
      out.replaceChildren(h("p", { class: "meta" }, "Looking for an answer…")), SLOW_MS);
    const t0 = performance.now();
    try {
      const answer = await ask(question, signal);
      if (!signal.aborted) showAnswer(out, answer, about, performance.now() - t0);
    } catch (e) {
      if (!signal.aborted)
        out.replaceChildren(h("p", { class: "error", role: "alert" }, message(e)));
    }
    clearTimeout(wait);
  };
  const form = h("form", { class: "question", role: "search" }, input, h("button", {}, "Ask"));
  form.addEventListener("submit", e => {
    e.preventDefault();
    void run(input.value.trim() || about?.examples?.[0] || "");
  });
  const examples = h("ul", { class: "examples", "aria-label": "Examples" });
  for (const q of about?.examples ?? []) {
    const b = h("button", { class: "plain", type: "button" }, q);
    b.addEventListener("click", () => void run(q));
    examples.append(h("li", {}, b));
  }
  const root = h("div", {}, h("h1", {}, "Ask the documents"), h("p", { class: "lead" }, lead(about)));
  if (about && !about.index)
    root.append(h("p", { class: "empty" },
      "This service was started without an index; it completes text, but cannot answer."));
  else
    root.append(form, examples, out);
  if (given) void run(given);
  else if (matchMedia("(min-width: 40rem)").matches) setTimeout(() => input.focus());
  return root;
}
