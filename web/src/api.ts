// SPDX-License-Identifier: Apache-2.0
// The service's API as functions.

export interface Passage {
  title: string; summary: string; section: string; heading: string; path: string;
  package: string; version: string; licence: string; text: string; score: number;
  terms: { page: number; passage: number; title: number; model: number };
}
export interface Answer { question: string; model: string; answer: string; passages: Passage[] }

export interface GateCheck {
  figure: string; bound: string; value?: number; min?: number; max?: number; passed: boolean;
}
export type Scalar = string | number | boolean | null;
export interface Run {
  started?: string; seconds?: number; cpu?: string; kernels?: string; threads?: number;
  tok_per_s?: number; gflops?: number; peak_bytes?: number; smelt?: string;
  options?: Record<string, Scalar>;
}
export interface About {
  model?: string; content?: string; kind?: string;
  facts?: Record<string, string | number>;
  gate?: { gate: string; passed: boolean; checks: GateCheck[] };
  index?: { documents: number; passages: number };
  run?: Run;
  examples?: string[];
}
/** Rows [step, value] by name. */
export type Curves = Record<string, [number, number][]>;
export interface Live { runs: { id: string; curves: Curves }[] }

async function problem(r: Response): Promise<Error> {
  try {
    const body = await r.json() as { error?: { message?: string } };
    return new Error(body.error?.message ?? `HTTP ${r.status}`);
  } catch {
    return new Error(`HTTP ${r.status}`);
  }
}

/** fetch, which says of a service that went away nothing that a reader can use. */
export async function reach(url: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (e) {
    if (init?.signal?.aborted) throw e;
    throw new Error("the service does not answer; has it been stopped?");
  }
}

/** null when the service has no such thing. */
export async function getJson<T>(url: string): Promise<T | null> {
  const r = await reach(url);
  if (r.status === 404) return null;
  if (!r.ok) throw await problem(r);
  return await r.json() as T;
}

export async function ask(question: string, signal: AbortSignal): Promise<Answer> {
  const r = await reach("/v1/ask", { method: "POST", signal, body: JSON.stringify({ question, k: 5 }) });
  if (!r.ok) throw await problem(r);
  return await r.json() as Answer;
}

export interface Sampling {
  max_tokens: number; temperature: number; top_p: number; top_k: number; min_p: number; seed: number;
}
interface CompletionEvent {
  error?: { message: string };
  choices: { text?: string; finish_reason: string | null }[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
}
export interface Ending { why: string; nTokens: number }

/** Stream a completion; onText gets the text of all events that came together: one call for
 * each event would copy a long text as often as it has events. */
export async function complete(prompt: string, sampling: Sampling, signal: AbortSignal,
                               onText: (text: string) => void): Promise<Ending> {
  const r = await reach("/v1/completions", {
    method: "POST", signal,
    body: JSON.stringify({ prompt, stream: true, stream_options: { include_usage: true }, ...sampling }),
  });
  if (!r.ok || !r.body) throw await problem(r);
  const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
  const ending: Ending = { why: "", nTokens: 0 };
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the service closed the stream early");
    pending += value;
    const events = pending.split("\n\n");
    pending = events.pop() ?? "";
    let text = "", ended = false;
    for (const e of events) {
      if (!e.startsWith("data: ")) continue; // a comment: the text is waited for
      const data = e.slice("data: ".length);
      ended = data === "[DONE]";
      if (ended) break;
      const body = JSON.parse(data) as CompletionEvent;
      if (body.error) {
        onText(text);
        throw new Error(body.error.message);
      }
      const choice = body.choices[0];
      text += choice?.text ?? "";
      if (choice?.finish_reason) ending.why = choice.finish_reason;
      if (body.usage) ending.nTokens = body.usage.completion_tokens;
    }
    if (text) onText(text);
    if (ended) return ending;
  }
}
