// SPDX-License-Identifier: Apache-2.0
// Functions that run in the page.

/** Elements with text whose contrast is below WCAG AA (4.5, or 3 for large text). */
export function lowContrast() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = c => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = e => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 250) return c;
    }
    return [255, 255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(e);
    if (!own || !e.checkVisibility() || e.matches("script, noscript, .skip, :disabled")) continue;
    const a = luminance(rgba(e instanceof SVGElement ? style.fill : style.color)), b = luminance(background(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) bad.push(`${e.tagName} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return bad;
}

/** Elements that stick out of the window to the right, unless inside something that scrolls. */
export function wideElements() {
  const width = document.documentElement.clientWidth;
  const bad = document.documentElement.scrollWidth > width ? [`page is ${document.documentElement.scrollWidth} wide`] : [];
  for (const e of document.querySelectorAll("body *"))
    if (e.getBoundingClientRect().right > width + 1 && !e.closest(".graph, .scroll, pre, .skip"))
      bad.push(`${e.tagName}.${e.className}`);
  return bad;
}

/** What scrolls sideways and cannot be focused: a keyboard cannot scroll it. */
export function outOfReach() {
  return [...document.querySelectorAll("body *")]
    .filter(e => e.scrollWidth > e.clientWidth && /auto|scroll/.test(getComputedStyle(e).overflowX) &&
      e.tabIndex < 0 && !e.querySelector("a, button, input, summary, [tabindex]"))
    .map(e => `${e.tagName}.${e.className}`);
}
