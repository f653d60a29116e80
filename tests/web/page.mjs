// SPDX-License-Identifier: Apache-2.0
// What a reader, a keyboard and a hostile document make of the page.
// Usage: node page.mjs SMELT DIRECTORY
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { clientChecks } from "./client.mjs";
import { lowContrast, outOfReach, wideElements } from "./measure.mjs";
import { examples, makeWorkspace, serve, trainOn } from "./workspace.mjs";

const [smelt, out] = process.argv.slice(2);
const shots = join(out, "screenshots");
const complaints = [];
let service, page, workspace;

const pageNames = ["ask", "complete", "training", "lineage"];
const titles = { ask: "Ask the documents", complete: "Continue a text", training: "How this model was trained",
  lineage: "Where these answers come from" };

async function open(name) {
  await page.goto("about:blank");
  await page.goto(`${service.url}#${name}`);
  await page.getByRole("heading", { level: 1, name: titles[name.split("?")[0]] }).waitFor();
}

async function ask(question) {
  await page.getByLabel("Question").fill(question);
  await page.keyboard.press("Enter");
  await page.locator(".answer").waitFor();
}

const event = body => `data: ${JSON.stringify(body)}\n\n`;
const piece = (text, finish_reason = null) => event({ choices: [{ text, finish_reason }] });

/** Ask for a completion that is answered with these events. */
async function answerWith(...events) {
  await page.route("**/v1/completions", r =>
    r.fulfill({ contentType: "text/event-stream", body: [...events, "data: [DONE]\n\n"].join("") }));
  await open("complete");
  await page.getByRole("button", { name: "Continue" }).click();
}

const checks = {
  async "a question is answered with a citation"() {
    await open("ask");
    await ask("which process holds a file open");
    assert.match(await page.locator(".answer p").innerText(), /hold|open/i);
    assert.match(await page.locator(".answer cite").innerText(), /^From lsof\(8\).*licence/);
    assert.equal(await page.locator(".sources > li").count(), 5);
    assert.ok(await page.locator(".answer mark").count() > 0, "words of the question are marked");
    const first = page.locator(".sources details").first();
    await first.locator("summary").click();
    assert.match(await first.locator(".more").innerText(), /Score \d/);
    assert.match(page.url(), /#ask\?q=which/);
  },
  async "an address with a question answers it"() {
    await open("ask?q=compress%20files");
    await page.locator(".answer").waitFor();
    assert.equal(await page.getByLabel("Question").inputValue(), "compress files");
    assert.match(await page.locator(".answer cite").innerText(), /gzip|tar/);
  },
  async "example buttons ask"() {
    await open("ask");
    assert.deepEqual(await page.locator(".examples button").allInnerTexts(), examples);
    await page.getByRole("button", { name: examples[2] }).click();
    await page.locator(".answer").waitFor();
    assert.match(await page.locator(".answer cite").innerText(), /df\(1\)|du\(1\)/);
  },
  async "a question without an answer says so"() {
    await open("ask");
    await page.getByLabel("Question").fill("zyzzyva");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing found").waitFor();
    await page.getByLabel("Question").fill("?!");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    complaints.pop(); // the browser logs the refused request
  },
  async "markup in a document is text"() {
    await open("ask");
    await ask("which dangerous line must be shown as text?");
    for (const d of await page.locator(".sources details").all()) await d.locator("summary").click();
    const text = await page.locator("main").innerText();
    assert.match(text, /<script>window\.pwned = 1<\/script>/);
    assert.match(text, /<img src=x onerror=/);
    assert.equal(await page.locator("main script, main img, main iframe").count(), 0);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    await open(`ask?q=${encodeURIComponent("<img src=x onerror=window.pwned=3> dangerous")}`);
    await page.locator(".answer").waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
  },
  async "a completion streams, the same twice"() {
    await open("complete");
    const texts = [];
    for (let i = 0; i < 2; i++) {
      await page.getByLabel("Tokens").fill("60");
      await page.getByLabel("Text to continue").fill("<b>The</b> files");
      await page.getByLabel("Text to continue").press("Control+Enter");
      await page.getByText(/tokens in [\d.]+ s/).waitFor();
      texts.push(await page.locator("pre.output").innerText());
      await page.getByLabel("Text to continue").fill("");
    }
    assert.ok(texts[0].startsWith("<b>The</b> files") && texts[0].length > 30, texts[0]);
    assert.equal(texts[0], texts[1]);
  },
  async "a text is waited for"() {
    await answerWith(": waiting\n\n", piece("late"), ": waiting\n\n", piece("", "stop"));
    await page.getByText("the text ended").waitFor();
    assert.match(await page.locator("pre.output").innerText(), /late$/);
    await page.unrouteAll();
  },
  async "why a text ended is said"() {
    for (const [n, why] of [[160, "reached the number of tokens"], [159, "the context is full"]]) {
      await answerWith(piece("text"), piece("", "length"), event({ choices: [], usage: { completion_tokens: n } }));
      await page.getByText(`${n} tokens in`).waitFor();
      assert.ok((await page.getByRole("status").innerText()).includes(`s; ${why}.`), why);
      await page.unrouteAll();
    }
  },
  async "Stop stops"() {
    await open("complete");
    const cdp = await page.context().newCDPSession(page);
    const throttle = downloadThroughput => cdp.send("Network.emulateNetworkConditions",
      { offline: false, latency: 0, downloadThroughput, uploadThroughput: -1 });
    const go = page.getByRole("button", { name: "Continue" });
    await cdp.send("Network.enable");
    await page.getByLabel("Temperature").fill("3");
    await page.getByLabel("Tokens").fill("120");
    await throttle(3000);
    try {
      for (let seed = 1, stopped = false; !stopped; seed++) { // a text may end by itself: try another
        assert.ok(seed < 20, "no text is long enough to be stopped");
        await page.getByLabel("Seed").fill(String(seed));
        await go.click();
        await page.waitForFunction(() =>
          document.querySelector("pre.output").textContent.length >= 40 ||
          document.querySelector("form button:not([type])").ariaDisabled !== "true");
        stopped = await page.getByRole("button", { name: "Stop" }).click({ timeout: 1000 })
          .then(() => true, () => false);
      }
      await page.getByText("Stopped.").waitFor();
    } finally {
      await throttle(-1);
    }
    const length = (await page.locator("pre.output").innerText()).length;
    await page.waitForTimeout(300);
    assert.equal((await page.locator("pre.output").innerText()).length, length);
    const metrics = await (await fetch(`${service.url}metrics`)).text();
    assert.match(metrics, /^smelt_streams_active 0$/m);
  },
  async "curves are drawn"() {
    await open("training");
    const captions = await page.locator("figcaption").allInnerTexts();
    for (const want of [/Training loss/, /Held-out loss/, /Throughput/, /Expert load/])
      assert.ok(captions.some(c => want.test(c)), `${want} in ${captions}`);
    for (const d of await page.locator("figure svg .line").evaluateAll(l => l.map(p => p.getAttribute("d")))) {
      assert.ok(d.split("L").length >= 5, d);
      assert.doesNotMatch(d, /NaN|Infinity/);
    }
    await page.locator("figure svg").first().hover();
    assert.match(await page.locator("figcaption").first().innerText(), /step \d/);
    assert.match(await page.locator("main").innerText(), /heldout\.bpb/);
    assert.match(await page.locator("header").innerText(), /gate passed/);
  },
  async "what is no number is not drawn"() {
    await page.route("**/api/curves", r => r.fulfill({ json: {
      loss: [[1, 5], [2, null], [3, 4]], heldout_bpb: [[5, null]], tok_per_s: [[1, 1000]],
      grad_norm: [[1, 0], [2, 0]], load_min: [[1, 0.5], [2, 0.6]], load_max: [[1, 1.5]] } }));
    await open("training");
    assert.equal(await page.locator("figure").count(), 4);
    for (const e of await page.locator("figure svg > *").evaluateAll(l => l.map(x => x.outerHTML)))
      assert.doesNotMatch(e, /NaN|Infinity|null/);
    for (const svg of await page.locator("figure svg").all()) { // no step twice, none between two
      const labels = await svg.locator("text[text-anchor=middle]").allTextContents();
      assert.ok(new Set(labels).size === labels.length && labels.every(t => /^\d+$/.test(t)), labels);
    }
    await page.unrouteAll();
  },
  async "a run under way is followed"() {
    await open("training");
    const training = trainOn(smelt, workspace.dir);
    try {
      const live = page.getByRole("region", { name: "Runs under way" });
      await live.locator("figure").first().waitFor({ timeout: 20000 });
      const step = async () => Number((await live.innerText()).match(/step (\d+)/)[1]);
      const first = await step();
      await page.waitForFunction(n => Number(document.querySelector("[aria-label='Runs under way']")
        .innerText.match(/step (\d+)/)[1]) > n, first, { timeout: 15000 });
    } finally {
      await training.stop();
    }
  },
  async "what is missing is said"() {
    await page.route("**/api/about", r => r.fulfill({ json: { model: "bare" } }));
    await page.route("**/api/curves", r => r.fulfill({ json: {} }));
    await page.route("**/api/lineage.svg", r => r.fulfill({ status: 404 }));
    await open("ask");
    await page.getByText("started without an index").waitFor();
    await open("training");
    await page.getByText("left no curves").waitFor();
    await open("lineage");
    await page.getByText("without a lineage graph").waitFor();
    complaints.pop(); // the browser logs the 404
    await page.unrouteAll();
  },
  async "the lineage is drawn"() {
    await open("lineage");
    const image = page.getByRole("img", { name: /Lineage graph/ });
    await image.evaluate(i => i.decode());
    assert.ok(await image.evaluate(i => i.naturalWidth) > 500);
  },
  async "an answer belongs to the last question"() {
    await page.route("**/v1/ask", async r => {
      if (/compress/.test(r.request().postData())) await new Promise(done => setTimeout(done, 900));
      await r.continue().catch(() => { /* its asker asked something else */ });
    });
    await open("ask");
    await ask("list open files");
    await page.getByLabel("Question").fill("compress files");
    await page.keyboard.press("Enter");
    await page.getByText("Looking for an answer").waitFor(); // not under the answer of before
    assert.equal(await page.locator(".answer").count(), 0);
    await page.getByRole("button", { name: examples[2] }).click();
    await page.locator(".answer").waitFor();
    await page.waitForTimeout(1200);
    assert.match(await page.locator(".answer cite").innerText(), /df\(1\)|du\(1\)/);
    await page.unrouteAll();
  },
  async "Back leads to the question before"() {
    await open("ask");
    await ask("list open files");
    await page.getByLabel("Question").fill("what is 100% of a? or b");
    await page.keyboard.press("Enter");
    await page.waitForURL(/100%25/);
    await page.goBack();
    await page.locator(".answer").waitFor();
    assert.equal(await page.getByLabel("Question").inputValue(), "list open files");
    await page.goForward();
    await page.waitForURL(/100%25/);
    await page.waitForFunction(() => document.querySelector("[name=q]").value === "what is 100% of a? or b");
    await page.goBack();
    await page.goBack();
    await page.waitForFunction(() => document.querySelector("[name=q]").value === "");
  },
  async "a slow service is waited for, and said to be"() {
    await page.route("**/api/about", async r => {
      await new Promise(done => setTimeout(done, 800));
      await r.continue();
    });
    await page.goto("about:blank");
    await page.goto(`${service.url}#training`);
    await page.getByText("Waiting for the service").waitFor();
    await page.getByRole("heading", { level: 1, name: titles.training }).waitFor();
    await page.unrouteAll();
  },
  async "a long text is shown in good time, as text"() {
    const t0 = Date.now();
    await answerWith(...Array.from({ length: 20000 }, (_, i) => piece(`<b>${i}</b> `)), piece("", "stop"));
    await page.getByText("the text ended").waitFor();
    assert.ok(Date.now() - t0 < 5000, `${Date.now() - t0} ms`);
    assert.match(await page.locator("pre.output").innerText(), /<b>0<\/b> <b>1<\/b> .*<b>19999<\/b> $/s);
    await page.unrouteAll();
  },
  async "the focus stays at the button that was pressed"() {
    await open("complete");
    await page.getByRole("button", { name: "Continue" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText(/tokens in [\d.]+ s/).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Continue");
    await page.route("**/v1/completions", () => { /* never answered */ });
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Stop" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("Stopped.").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Continue");
    await page.unrouteAll();
  },
  async "each page has a title of its own"() {
    for (const name of pageNames) {
      await open(name);
      assert.equal(await page.title(), `${titles[name]} · manual-release · smelt`);
    }
  },
  async "a keyboard reaches everything"() {
    await open("ask");
    await page.evaluate(() => document.activeElement.blur());
    const seen = [];
    for (let i = 0; i < 16; i++) {
      await page.keyboard.press("Tab");
      seen.push(await page.evaluate(() => document.activeElement.textContent || document.activeElement.name));
    }
    for (const want of ["Skip to the content", "Complete", "Training", "Lineage", "q", "Ask", examples[3]])
      assert.ok(seen.includes(want), `${want} in ${seen}`);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.name), "q");
    await page.getByRole("link", { name: "Training" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: titles.training }).waitFor();
    assert.equal(await page.locator("nav [aria-current]").innerText(), "Training");
    await page.goBack();
    await page.getByRole("heading", { name: titles.ask }).waitFor();
  },
  async "the skip link moves the focus alone"() {
    await open("lineage");
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    assert.match(page.url(), /#lineage$/);
    await page.goto("about:blank");
    await page.goto(`${service.url}#main`); // from an older address
    await page.getByRole("heading", { level: 1, name: titles.ask }).waitFor();
    assert.equal(await page.locator("nav [aria-current]").innerText(), "Ask");
  },
  async "text has contrast, light and dark"() {
    const question = encodeURIComponent(examples[0]);
    await page.mouse.move(0, 0);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const name of pageNames) {
        await open(name === "ask" ? `ask?q=${question}` : name);
        if (name === "ask") await page.locator(".answer").waitFor();
        assert.deepEqual(await page.evaluate(lowContrast), [], `${name}, ${scheme}`);
        await page.screenshot({ path: join(shots, `${name}-${scheme}.png`), fullPage: name === "training" });
      }
    }
    const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.match(back, /rgb\((\d|[1-3]\d), (\d|[1-3]\d), (\d|[1-3]\d)\)/, "dark is dark");
    await page.emulateMedia({ colorScheme: "light" });
  },
  async "a narrow window scrolls down only"() {
    for (const [width, suffix] of [[390, "narrow"], [320, "narrowest"]]) {
      await page.setViewportSize({ width, height: 844 });
      for (const name of pageNames) {
        await open(name === "ask" ? "ask?q=list%20open%20files" : name);
        if (name === "ask") await page.locator(".answer").waitFor();
        await page.screenshot({ path: join(shots, `${name}-${suffix}.png`), fullPage: name === "training" });
        assert.deepEqual(await page.evaluate(wideElements), [], `${name}, ${width}`);
        assert.deepEqual(await page.evaluate(outOfReach), [], `${name}, ${width}`);
      }
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  },
  async "nothing was logged, nothing left this machine"() {
    assert.deepEqual(complaints, []);
  },
  async "a service that went away is reported"() {
    await open("ask");
    assert.equal(await service.stop(), 0, "exit status of the service");
    await page.getByLabel("Question").fill("anyone?");
    await page.keyboard.press("Enter");
    assert.match(await page.getByRole("alert").innerText(), /does not answer/);
  },
};

function listen() {
  page.on("console", m => { if (m.type() === "error" || m.type() === "warning") complaints.push(m.text()); });
  page.on("pageerror", e => complaints.push(String(e)));
  const own = service.url;
  page.on("request", r => {
    if (!r.url().startsWith(own) && !/^(data|about):/.test(r.url())) complaints.push(`request to ${r.url()}`);
  });
}

async function main() {
  mkdirSync(shots, { recursive: true });
  const profile = mkdtempSync(join(tmpdir(), "smelt-chromium-"));
  workspace = makeWorkspace(smelt);
  let browser, nChecks = 0, nFailed = 0;
  try {
    service = await serve(smelt, workspace.dir);
    browser = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true,
      viewport: { width: 1280, height: 900 }, colorScheme: "light",
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
    page = browser.pages()[0] ?? await browser.newPage();
    page.setDefaultTimeout(10000);
    listen();
    const all = { ...clientChecks(service.url), ...checks };
    for (const [name, check] of Object.entries(all)) {
      nChecks++;
      const t0 = Date.now();
      try {
        await check();
        console.log(`ok - ${name} (${((Date.now() - t0) / 1000).toFixed(1)} s)`);
      } catch (e) {
        nFailed++;
        console.log(`not ok - ${name}\n  ${String(e?.message ?? e).replaceAll("\n", "\n  ")}`);
      }
    }
  } finally {
    await browser?.close();
    await service?.stop();
    workspace.remove();
    rmSync(profile, { recursive: true, force: true });
  }
  console.log(`${nChecks} checks, ${nFailed} failed; screenshots in ${shots}`);
  return nFailed ? 1 : 0;
}

process.exit(await main());
