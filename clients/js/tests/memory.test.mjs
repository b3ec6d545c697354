import assert from "node:assert/strict";
import { test } from "node:test";
import { readFile } from "node:fs/promises";
import { Longhaul, Parser, VERSION } from "@longhaul/client";
import { MemoryServer } from "@longhaul/client/testing";

test("jobs of the server in memory end as the test says", async () => {
  const server = new MemoryServer();
  const client = server.client();
  const [good, bad] = [await client.enqueue("a", 1, { id: "x:y" }), await client.enqueue("a", 2)];
  server.emit(good.id, "one");
  server.complete(good.id, { n: 1 });
  server.fail(bad.id, "broken");
  assert.deepEqual([await good.wait(), await good.text()], [{ n: 1 }, "one"]);
  await assert.rejects(bad.wait(), { name: "JobFailed", message: /broken/ });
  const failed = [];
  for await (const job of client.jobs.list({ state: "failed" })) failed.push(job.id);
  assert.deepEqual(failed, [bad.id]);
  assert.equal((await client.jobs.retry({ filter: { state: "failed" } })).done, 1);
  assert.equal(await server.run("a", (args) => args + 1), 1);
  assert.equal(await bad.wait(), 3);
});

test("a POST is sent again under the same key, and what no retry can help is not", async () => {
  const keys = [];
  const fetch = async (_, { headers }) => {
    keys.push(headers["idempotency-key"]);
    if (keys.length === 1) throw new TypeError("fetch failed", { cause: new Error("refused") });
    if (keys.length === 2) return Response.json({ code: "unavailable" }, { status: 503, headers: { "retry-after": "0" } });
    if (keys.length === 3) return Response.json({ id: "j" }, { status: 202 });
    return Response.json({ code: "unauthorized", detail: "a token is needed" }, { status: 401 });
  };
  const client = new Longhaul({ fetch });
  assert.equal((await client.enqueue("k")).id, "j");
  assert.deepEqual([keys.length, new Set(keys).size], [3, 1]);
  await assert.rejects(client.enqueue("k"), { name: "Unauthorized", code: "unauthorized" });
  assert.equal(keys.length, 4);
});

test("events are read wherever the network cuts", () => {
  const stream = new TextEncoder().encode('id: 1\r\nevent: chunk\r\ndata: {"a":\r\ndata: "ä"}\r\n\r\n: beat\n\nretry: 1500\n\nid: 2\ndata:x\n\n');
  for (let cut = 1; cut < stream.length; cut++) {
    const parser = new Parser();
    const messages = [...parser.feed(stream.slice(0, cut)), ...parser.feed(stream.slice(cut))];
    assert.deepEqual(messages, [{ id: "1", event: "chunk", data: '{"a":\n"ä"}' }, { id: "2", event: "message", data: "x" }], `cut at ${cut}`);
    assert.equal(parser.retry, 1500);
  }
});

test("the packages are of one release, which they tell", async () => {
  for (const name of ["client", "worker", "react"]) {
    const { version } = JSON.parse(await readFile(new URL(`node_modules/@longhaul/${name}/package.json`, import.meta.url), "utf8"));
    assert.equal(version, VERSION, name);
  }
});
