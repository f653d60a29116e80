// SPDX-License-Identifier: Apache-2.0
// The service's API as functions.

export interface Passage {
  title: string; summary: string; section: string; heading: string; path: string;
  package: string; version: string; licence: string; text: string; score: number;
  terms: { page: number; lead: number; passage: number; title: number; model: number };
}
export interface Answer { question: string; model: string; answer: string; passages: Passage[] }

export interface About {
  model?: string; content?: string; kind?: string;
  facts?: Record<string, string | number>;
  gate?: { gate: string; passed: boolean; checks: GateCheck[] };
  examples?: string[];
}
export interface GateCheck {
  figure: string; bound: string; value?: number; min?: number; max?: number; passed: boolean;
}
export type Curves = Record<string, number[]>;

async function problem(r: Response): Promise<Error> {
  try {
    const body = await r.json();
    return new Error(body.error?.message ?? `HTTP ${r.status}`);
  } catch {
    return new Error(`HTTP ${r.status}`);
  }
}

export async function getJson<T>(url: string): Promise<T | null> {
  const r = await fetch(url);
  if (r.status === 404) return null;
  if (!r.ok) throw await problem(r);
  return await r.json() as T;
}

export async function getText(url: string): Promise<string | null> {
  const r = await fetch(url);
  if (r.status === 404) return null;
  if (!r.ok) throw await problem(r);
  return await r.text();
}

export async function ask(question: string): Promise<Answer> {
  const r = await fetch("/v1/ask", { method: "POST", body: JSON.stringify({ question, k: 5 }) });
  if (!r.ok) throw await problem(r);
  return await r.json() as Answer;
}

export interface Sampling {
  max_tokens: number; temperature: number; top_p: number; top_k: number; min_p: number; seed: number;
}

/** Stream a completion; onText gets each piece, the promise the finish reason. */
export async function complete(prompt: string, sampling: Sampling, signal: AbortSignal,
                               onText: (text: string) => void): Promise<string> {
  const r = await fetch("/v1/completions", {
    method: "POST", signal, body: JSON.stringify({ prompt, stream: true, ...sampling }),
  });
  if (!r.ok || !r.body) throw await problem(r);
  const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "", finish = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return finish;
    pending += value;
    const events = pending.split("\n\n");
    pending = events.pop() ?? "";
    for (const e of events) {
      const data = e.replace(/^data: /, "");
      if (data === "[DONE]") return finish;
      const body = JSON.parse(data);
      if (body.error) throw new Error(body.error.message);
      const choice = body.choices[0];
      if (choice?.text) onText(choice.text);
      if (choice?.finish_reason) finish = choice.finish_reason;
    }
  }
}
