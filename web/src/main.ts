// SPDX-License-Identifier: Apache-2.0
// Routing by the fragment ("#ask?q=..."), the header, and what is common to all pages.
import { About, getJson } from "./api";
import { askPage } from "./ask";
import { completePage } from "./complete";
import { SLOW_MS, field, fragment, h, message } from "./dom";
import { lineagePage } from "./lineage";
import { trainingPage } from "./training";

const names = ["ask", "complete", "training", "lineage"];
let about: About | null = null;
let nShown = 0;

async function page(name: string, query: URLSearchParams): Promise<HTMLElement> {
  switch (name) {
    case "complete": return completePage();
    case "training": return await trainingPage(about);
    case "lineage": return await lineagePage(about);
    default: return askPage(about, query.get("q") ?? "");
  }
}

async function show(): Promise<void> {
  const { name: word, query } = fragment();
  const name = names.includes(word) ? word : "ask";
  const main = field(document, "#main");
  const turn = ++nShown;
  for (const a of document.querySelectorAll("nav a"))
    if (a.getAttribute("href") === `#${name}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  const wait = setTimeout(() => {
    if (turn === nShown)
      main.replaceChildren(h("p", { class: "meta", role: "status" }, "Waiting for the service…"));
  }, SLOW_MS);
  let root: HTMLElement;
  try {
    await knowModel();
    root = await page(name, query);
  } catch (e) {
    root = h("p", { class: "error", role: "alert" }, `The service did not answer: ${message(e)}`);
  }
  clearTimeout(wait);
  if (turn !== nShown) return;
  main.replaceChildren(root);
  const title = root.querySelector("h1")?.textContent;
  document.title = [title, about?.model, "smelt"].filter(Boolean).join(" · ");
}

/* Asked for until it is known: a service may be slow to start, or away. */
async function knowModel(): Promise<void> {
  if (about) return;
  const got = await getJson<About>("/api/about");
  if (about || !got?.model) return;
  about = got;
  const out = field(document, "#model");
  out.append(h("span", { title: about.content ?? "" }, about.model ?? ""));
  if (about.gate)
    out.append(h("span", { class: `chip ${about.gate.passed ? "pass" : "fail"}` },
      about.gate.passed ? "gate passed" : "gate failed"));
}

/* "/" goes to the question, as in many manuals. */
function onKey(e: KeyboardEvent): void {
  const tag = document.activeElement?.tagName ?? "";
  if (e.key !== "/" || tag === "INPUT" || tag === "TEXTAREA" || e.ctrlKey || e.metaKey || e.altKey) return;
  const input = document.querySelector<HTMLInputElement>("input[name=q]");
  if (input) { e.preventDefault(); input.focus(); input.select(); }
}

/* The skip link moves the focus alone: as a fragment it would name no page. */
function onSkip(e: Event): void {
  e.preventDefault();
  field(document, "#main").focus();
}

window.addEventListener("hashchange", () => void show());
document.addEventListener("keydown", onKey);
field(document, ".skip").addEventListener("click", onSkip);
void show();
