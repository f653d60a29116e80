// SPDX-License-Identifier: Apache-2.0
// Small helpers over the DOM.  Text goes in as text nodes only, never as markup.

export type Child = Node | string | null | undefined;

export function h(tag: string, attrs: Record<string, string> = {}, ...children: Child[]): HTMLElement {
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
