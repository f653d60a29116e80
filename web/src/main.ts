// SPDX-License-Identifier: Apache-2.0
// Routing by the fragment, the header, and what is common to all pages.
import { About, getJson } from "./api";
import { field, h } from "./dom";
import { askPage, chatPage, lineagePage, trainingPage } from "./pages";

let about: About | null = null;

async function page(name: string): Promise<HTMLElement> {
  switch (name) {
    case "chat": return chatPage();
    case "training": return await trainingPage(about);
    case "lineage": return await lineagePage(about);
    default: return askPage(about);
  }
}

async function show(): Promise<void> {
  const name = location.hash.slice(1) || "ask";
  for (const a of document.querySelectorAll("nav a"))
    if (a.getAttribute("href") === `#${name}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  const main = field(document, "#main");
  try {
    main.replaceChildren(await page(name));
  } catch (e) {
    main.replaceChildren(h("p", { class: "error" }, `The service did not answer: ${String(e)}`));
  }
}

async function start(): Promise<void> {
  about = await getJson<About>("/api/about").catch(() => null);
  if (about?.model) {
    field(document, "#model").textContent = `${about.model}${about.content ? " · " + about.content.slice(0, 12) : ""}`;
    document.title = `${about.model} · smelt`;
  }
  window.addEventListener("hashchange", () => void show());
  await show();
}

void start();
