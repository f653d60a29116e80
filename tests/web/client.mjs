// SPDX-License-Identifier: Apache-2.0
// OpenAI's own client library reads what the service writes.
import assert from "node:assert/strict";
import OpenAI from "openai";

const model = "manual-release";

/** Checks by name, over a service at `url`. */
export function clientChecks(url) {
  const client = new OpenAI({ baseURL: `${url}v1`, apiKey: "none", maxRetries: 0 });
  const request = { model, prompt: "The files", max_tokens: 24, seed: 5, temperature: 0.7 };
  const messages = [{ role: "user", content: [{ type: "text", text: "The files" }] }];
  return {
    async "client: models"() {
      const list = await client.models.list();
      assert.deepEqual(list.data.map(m => m.id), [model]);
      assert.ok(Math.abs(Date.now() / 1000 - list.data[0].created) < 3600, "made within the hour");
      assert.deepEqual(await client.models.retrieve(model), list.data[0]);
      await assert.rejects(client.models.retrieve("gpt-4"), OpenAI.NotFoundError);
    },
    async "client: completions, whole and as a stream"() {
      const whole = await client.completions.create(request);
      assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
      let text = "", usage = null;
      for await (const e of await client.completions.create(
        { ...request, stream: true, stream_options: { include_usage: true } })) {
        text += e.choices[0]?.text ?? "";
        usage = e.usage ?? usage;
      }
      assert.equal(text, whole.choices[0].text);
      assert.deepEqual(usage, whole.usage);
    },
    async "client: chats, whole and as a stream"() {
      const chat = { model, messages, max_completion_tokens: 24, seed: 5 };
      const whole = await client.chat.completions.create(chat);
      assert.equal(whole.choices[0].message.role, "assistant");
      const stream = client.chat.completions.stream({ ...chat, stream: true });
      const final = await stream.finalChatCompletion(); // its own joining and checking of events
      assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
      assert.equal(final.choices[0].finish_reason, whole.choices[0].finish_reason);
    },
    async "client: errors are of the right kind"() {
      const wrong = [[{ ...request, model: "gpt-4" }, OpenAI.NotFoundError, "model"],
        [{ ...request, top_p: 7 }, OpenAI.BadRequestError, "top_p"],
        [{ ...request, logprobs: 3 }, OpenAI.BadRequestError, "logprobs"]];
      for (const [body, kind, param] of wrong)
        await assert.rejects(client.completions.create(body), e => e instanceof kind && e.param === param);
    },
    async "client: an aborted stream ends on the server"() {
      const stream = await client.completions.create({ ...request, max_tokens: 120, temperature: 2, stream: true });
      for await (const e of stream) if (e) break;
      stream.controller.abort();
      for (let i = 0, metrics = ""; !/^smelt_streams_active 0$/m.test(metrics); i++) {
        assert.ok(i < 100, "still active");
        metrics = await (await fetch(`${url}metrics`)).text();
      }
    },
  };
}
