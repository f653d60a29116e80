// SPDX-License-Identifier: Apache-2.0
// Small helpers over the DOM.  Text goes in as text nodes only, never as markup.

export type Child = Node | string | null | undefined;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attrs: Record<string, string> = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, v);
  for (const c of children) if (c != null) e.append(c);
  return e;
}

export function s(tag: string, attrs: Record<string, string | number>, ...children: Child[]): SVGElement {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, String(v));
  for (const c of children) if (c != null) e.append(c);
  return e;
}

export function field<T extends HTMLElement>(root: ParentNode, selector: string): T {
  const e = root.querySelector<T>(selector);
  if (!e) throw new Error(`page: no element ${selector}`);
  return e;
}

/** What takes longer is said to be under way. */
export const SLOW_MS = 300;

/** The address: "#ask?q=..." is the page "ask" and its query. */
export function fragment(): { name: string; query: URLSearchParams } {
  const [name, ...query] = location.hash.slice(1).split("?");
  return { name, query: new URLSearchParams(query.join("?")) };
}

export function message(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

const common = new Set(["and", "are", "can", "does", "for", "from", "how", "the", "this", "that",
  "what", "when", "where", "which", "who", "why", "with"]);

/** Words of the question, of three letters or more and not too common, that the text has too, as <mark>. */
export function marked(text: string, question: string): Node[] {
  const stems = question.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(w => !common.has(w))
    .map(w => w.length > 4 ? w.replace(/(es|s|ing|ed)$/, "") : w)
    .filter(w => w.length >= 3);
  const out: Node[] = [];
  for (const piece of text.split(/([\p{L}\p{N}]+)/u)) {
    const word = piece.toLowerCase();
    const hit = stems.some(w => word.startsWith(w) && word.length <= w.length + 4);
    out.push(hit ? h("mark", {}, piece) : document.createTextNode(piece));
  }
  return out;
}
