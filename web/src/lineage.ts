// SPDX-License-Identifier: Apache-2.0
// Where the model comes from, as the store draws it.
import { About, reach } from "./api";
import { h } from "./dom";

const LEAST_WIDTH = 1080;

export async function lineagePage(about: About | null): Promise<HTMLElement> {
  const root = h("div", {}, h("h1", {}, "Where these answers come from"),
    h("p", { class: "lead" },
      "Every box is an artifact, named by the hash of its bytes; an arrow says what it was made from."));
  const r = await reach("/api/lineage.svg", { method: "HEAD" });
  if (!r.ok) {
    root.append(h("p", { class: "empty" }, "The service was started without a lineage graph."));
    return root;
  }
  /* as an image, so that nothing in it can run */
  const image = h("img", { src: "/api/lineage.svg",
    alt: "Lineage graph: sources, dataset, tokenizer, model, evaluation and release" });
  image.addEventListener("load", () => { /* shrink to fit while it stays readable, then scroll */
    image.style.minWidth = `${Math.min(image.naturalWidth, LEAST_WIDTH)}px`;
  });
  root.append(
    h("div", { class: "graph", tabindex: "0", role: "region", "aria-label": "Lineage graph, scrollable" },
      image),
    h("p", { class: "meta" },
      h("a", { href: "/api/lineage.svg", target: "_blank" }, "Open the drawing alone")));
  if (!about?.content || !about.model) return root;
  const commands: [string, string][] = [
    [`smelt verify ${about.model}`, "re-hash every byte behind it"],
    [`smelt replay ${about.model} --whole`, "make all of it again from its sources, compare bit for bit"],
    [`smelt lineage ${about.model}`, "this graph as text"]];
  const width = Math.max(...commands.map(c => c[0].length)) + 4;
  root.append(h("h2", {}, "Check it yourself"),
    h("p", { class: "meta" }, "Content id of the model: ", h("code", {}, about.content)),
    h("pre", { class: "output commands", tabindex: "0", role: "region", "aria-label": "Commands" },
       commands.map(c => `${c[0].padEnd(width)}# ${c[1]}`).join("\n")));
  return root;
}
