import assert from "node:assert/strict";
import { test } from "node:test";
import { readFile } from "node:fs/promises";
import { Longhaul, Parser, VERSION } from "@longhaul/client";
import { parse, stringify } from "@longhaul/client/json";
import { MemoryServer } from "@longhaul/client/testing";
import { Fatal, RateLimited, Snooze } from "@longhaul/worker";

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
  for await (const job of client.jobs.list({ created_by: "tok_1" })) assert.fail(`there are no tokens, and ${job.id} was enqueued with none`);
  assert.deepEqual(failed, [bad.id]);
  assert.equal((await client.jobs.retry({ filter: { state: "failed" } })).done, 1);
  assert.equal(await server.run("a", (args) => args + 1), 1);
  assert.equal(await bad.wait(), 3);
});

test("handlers of the server in memory are given what a worker gives them", async () => {
  const server = new MemoryServer();
  const client = server.client();
  const job = await client.enqueue("report", { year: 2026 }, { labels: { tenant: "7" }, traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" });
  let reads = 0;
  await server.run("report", async (args, cx) => {
    const orders = await cx.step("orders", () => ++reads);
    cx.progress(50, "half", { orders });
    cx.log("drawing", "warn");
    cx.emit(`attempt ${cx.attempt}`);
    args.year = 0;
    if (cx.attempt === 1) throw new Error("no paper");
    return [orders, cx.jobId, cx.maxAttempts, cx.labels, cx.traceparent];
  });
  assert.deepEqual(await job.wait(), [1, job.id, 3, { tenant: "7" }, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]);
  assert.equal(await job.text(), "attempt 2");
  const { args, progress, errors } = await job.get();
  assert.deepEqual([args, progress.percent, errors.map(({ message }) => message)], [{ year: 2026 }, 50, ["no paper"]]);
  assert.deepEqual((await job.steps()).map(({ name, attempt }) => [name, attempt]), [["orders", 1]]);

  const fatal = await client.enqueue("fatal");
  await server.run("fatal", () => Promise.reject(new Fatal("never")));
  await assert.rejects(fatal.wait(), (error) => error.job.attempt === 1 && error.job.errors[0].kind === "fatal");
  const later = await client.enqueue("later");
  assert.equal(await server.run("later", () => Promise.reject(new Snooze(60))), 1);
  const { state, attempt } = await later.get();
  assert.deepEqual([state, attempt], ["scheduled", 0]);
  assert.throws(() => server.complete(fatal.id), /has ended: it is failed/);
});

test("jobs of the server in memory are collected into calls, and end each by itself", async () => {
  const server = new MemoryServer();
  const client = server.client();
  const jobs = [];
  for (const [n, tenant] of [1, 2, 1, 1].entries()) jobs.push(await client.enqueue("row", { tenant, n }));
  const calls = [];
  const insert = (rows) => {
    calls.push(rows.map(({ args }) => args.n));
    rows[0].cx.log("the first");
    rows[0].complete(rows.length);
    rows[1]?.fail(new Fatal("never"));
    assert.ok(rows.every(({ hasEnded }) => hasEnded));
    throw new Error("broken");
  };
  assert.equal(await server.collect("row", insert, { max: 2, by: "tenant" }), 3);
  assert.deepEqual(calls, [[0, 2], [3], [1]]);
  assert.deepEqual(await Promise.all(jobs.map(async (job) => (await job.get()).state)), ["completed", "completed", "failed", "completed"]);
  const late = await client.enqueue("row", {});
  assert.equal(await server.collect("row", () => undefined), 1);
  const { state, errors } = await late.get();
  assert.deepEqual([state, errors[0].message], ["scheduled", "its call ended and gave it no end of its own"]);
});

test("no more of a queue of the server in memory runs than its slots", async () => {
  const server = new MemoryServer();
  const client = server.client();
  await client.queues.set("q", { slots: 2 });
  const [first, heavy] = [await client.enqueue("k", 1, { queue: "q" }), await client.enqueue("k", 2, { queue: "q", cost: { slots: 2 } })];
  server.start(first.id);
  assert.equal(await server.run("k", (args) => args), 0, "the two of the second do not fit beside the first");
  assert.deepEqual((await heavy.why()).reasons[0], { rule: "slots_queue", key: "q", used: 1, of: 2 });
  assert.equal((await client.queues.get("q")).used, 1);
  server.complete(first.id);
  assert.equal(await server.run("k", (args) => args), 1);
});

test("whoever waits for a job of the server in memory hears of it, and a running one is asked to stop", { timeout: 60_000 }, async () => {
  const server = new MemoryServer();
  const client = server.client({ maxRetries: 0 });
  const job = await client.enqueue("slow");
  const feed = client.events({ kind: "slow" });
  assert.deepEqual((await feed.next()).value, { type: "gap" });
  const [output, events] = [job.wait(), job.events()];
  assert.equal((await events.next()).value.state, "available");
  const next = events.next();
  server.start(job.id);
  assert.equal((await next).value.state, "running");
  assert.deepEqual([(await feed.next()).value.state, (await job.get()).state], ["running", "running"]);
  server.complete(job.id, "well");
  assert.equal(await output, "well");
  await feed.return();
  await events.return();

  const stopped = await client.enqueue("stubborn");
  const running = server.run("stubborn", async (_, { signal }) => {
    await stopped.cancel();
    assert.deepEqual([signal.aborted, (await stopped.get()).cancel_requested], [true, true]);
    signal.throwIfAborted();
  });
  await assert.rejects(stopped.wait(), { name: "JobCancelled" });
  await running;
  assert.deepEqual((await stopped.get()).errors, []);
});

test("the server in memory runs no more of a limit key than its slots, and nothing of a paused one", async () => {
  const server = new MemoryServer();
  const client = server.client();
  await client.setKey("gpu:*", { slots: 1 });
  const [one, two] = [await client.enqueue("train", 1, { limit_keys: ["gpu:0"] }), await client.enqueue("train", 2, { limit_keys: ["gpu:0"] })];
  server.start(one.id);
  assert.equal(await server.run("train", () => "well"), 0);
  assert.deepEqual((await two.why()).reasons[0], { rule: "slots_key", key: "gpu:0", used: 1, of: 1 });
  server.complete(one.id);
  assert.equal(await server.run("train", () => "well"), 1);
  assert.equal(await two.wait(), "well");

  // Two programs of a test at once: the second one finds the slot taken.
  await client.enqueueMany([3, 4].map((args) => ({ kind: "train", args, limit_keys: ["gpu:0"] })));
  const both = await Promise.all([server.run("train", () => Promise.resolve()), server.run("train", () => Promise.resolve())]);
  assert.deepEqual(both.toSorted(), [0, 2]);

  const limited = await client.enqueue("ask", 1, { limit_keys: ["provider", "tenant:7"] });
  await client.enqueue("ask", 2, { limit_keys: ["provider"] });
  assert.equal(await server.run("ask", () => Promise.reject(new RateLimited(3_600))), 1, "the others wait for the provider, too");
  const [{ closed_until }, { run_at, attempt }] = [await client.key("provider"), await limited.get()];
  assert.deepEqual([closed_until, attempt, (await client.key("tenant:7")).closed_until], [run_at, 0, null]);
  assert.deepEqual((await limited.why()).reasons, [{ rule: "paused_key", key: "provider", until: run_at }]);
  await client.resumeKey("provider");
  assert.equal(await server.run("ask", () => "well"), 2);
});

test("a job of the server in memory ends for its time when a test says so", async () => {
  const server = new MemoryServer();
  const client = server.client();
  const waiting = await client.enqueue("quote", 1, { expires_in: 60, deadline: 600 });
  server.expire(waiting.id);
  await assert.rejects(waiting.wait(), { name: "JobExpired" });
  assert.equal((await waiting.get()).cancel_reason, "expired");
  assert.throws(() => server.expire(waiting.id), /has ended/);

  const running = await client.enqueue("quote", 2, { expires_in: 60, deadline: 600 });
  await server.run("quote", async (_, cx) => {
    cx.settle(3);
    assert.throws(() => cx.settle(0.5), TypeError);
    server.expire(cx.jobId);
    cx.signal.throwIfAborted();
  });
  await assert.rejects(running.wait(), { name: "JobExpired" });
  const { cancel_reason, errors } = await running.get();
  assert.deepEqual([cancel_reason, errors], ["deadline", []]);

  // A holder that runs is asked to stop where a newer job takes its key.
  const unique = { key: "page", on_clash: "supersede" };
  const old = await client.enqueue("render", 1, { unique });
  await server.run("render", async (page, { signal }) => {
    await client.enqueue("render", page + 1, { unique, id: "newer" });
    signal.throwIfAborted();
  });
  assert.deepEqual([(await old.get()).cancel_reason, (await client.job("newer").get()).state], ["superseded", "available"]);
});

test("behind a holder that runs the newest job waits, and a job tells who holds its key", async () => {
  const server = new MemoryServer();
  const client = server.client();
  const unique = { key: "page", on_clash: "follow" };
  const holder = async ({ id }) => (await client.job(id).get()).unique.holder;
  const first = await client.enqueue("render", 0, { unique });
  const again = await client.enqueue("render", 1, { unique });
  assert.deepEqual([again.id, again.status], [first.id, "replaced"]);
  server.start(first.id);
  const behind = await client.enqueue("render", 2, { unique });
  const { state, depends_on, unique: told } = await behind.get();
  assert.deepEqual([state, depends_on], ["blocked", [{ id: first.id, on_failure: "run" }]]);
  assert.deepEqual(told, { key: "render:page", holder: behind.id });
  const newest = await client.enqueue("render", 3, { unique });
  assert.deepEqual([newest.id, newest.status], [behind.id, "replaced"]);
  assert.equal(await holder(first), behind.id);
  // One that ends first gives the key back.
  await behind.cancel();
  assert.equal(await holder(first), first.id);
  const last = await client.enqueue("render", 4, { unique });
  server.complete(first.id);
  assert.equal((await last.get()).state, "available");
  const seen = [];
  await server.run("render", (page) => void seen.push(page));
  assert.deepEqual(seen, [4]);
  assert.equal(await holder(last), undefined, "the key is free");

  // A handler that is asked to stop is told, and so are the readers of its job.
  const running = await client.enqueue("render", 5);
  await server.run("render", async (_, { signal }) => {
    await running.cancel();
    for await (const event of running.events()) {
      assert.deepEqual([event.type, event.state, event.cancel_requested, event.cancel_reason], ["state", "running", true, "asked"]);
      break;
    }
    signal.throwIfAborted();
  });
  assert.equal((await running.get()).state, "cancelled");
});

test("a step that stands twice fails the job, and a patched point is new for new jobs", async () => {
  const server = new MemoryServer();
  const client = server.client();
  const job = await client.enqueue("twice", null, { max_attempts: 5 });
  await server.run("twice", async (_, cx) => [await cx.step("same", () => 1), await cx.step("same", () => 2)]);
  const { state, attempt, errors } = await job.get();
  assert.deepEqual([state, attempt], ["failed", 1]);
  assert.match(errors[0].message, /'same' stands twice/);
  const old = await client.enqueue("patched", null, { max_attempts: 3 });
  await server.run("patched", async (_, cx) => {
    const before = cx.attempt > 1 && (await cx.patched("before"));
    await cx.step("done", () => null);
    const after = cx.attempt > 1 && (await cx.patched("after"));
    if (cx.attempt < 3) throw new Error("again");
    return [before, after];
  });
  assert.deepEqual(await old.wait(), [false, true]);
  const fresh = await client.enqueue("new");
  await server.run("new", async (_, cx) => [await cx.patched("point"), await cx.waitToken("go")]);
  const [point, token] = await fresh.wait();
  assert.equal(point, true);
  await assert.rejects(client.redeemSignalToken(token), { code: "ended" }, "it is this job's");
});

test("handlers of the server in memory sleep and wait for signals and children", async () => {
  const server = new MemoryServer();
  const client = server.client();
  const order = async (n, cx) => {
    await cx.sleep("a while", 3_600);
    const answer = await cx.waitFor("answer", { timeout: 60 });
    await cx.enqueueChildren("pages", Array.from({ length: n }, (_, args) => ({ kind: "page", args })));
    return [answer ?? null, (await cx.waitForChildren()).completed, cx.attempt];
  };
  const [one, two] = [await client.enqueue("order", 2), await client.enqueue("order", 0)];
  assert.equal(await server.run("order", order), 2);
  assert.equal((await one.get()).waits_for, "signal:answer");
  assert.equal(await one.signal("answer", "yes"), true);
  server.wake(two.id);
  assert.throws(() => server.wake(two.id), /waits for no signal/);
  await server.run("order", order);
  assert.deepEqual(await two.wait(), [null, 0, 1]);
  assert.equal((await one.get()).waits_for, "children");
  await server.run("page", (n) => n);
  await server.run("order", order);
  assert.deepEqual(await one.wait(), ["yes", 2, 1]);
});

test("JSON has the digits of its integers, and everything else as JavaScript has it", () => {
  const kept = ['{"a":[9007199254740993,-9007199254740993],"b":9007199254740991}', `[${"7".repeat(80)}]`, "9007199254740992", '{"12345678901234567890":"12345678901234567890"}'];
  for (const text of kept) assert.equal(stringify(parse(text)), text);
  assert.deepEqual(parse(kept[0]), { a: [9_007_199_254_740_993n, -9_007_199_254_740_993n], b: Number.MAX_SAFE_INTEGER });
  const plain = ['"1234567890123456789"', '["\\\\\\"1234567890123456789,",1.0e3,-0,0.12345678901234567]', '{"\\\\":1234567890.1234567890,"":1e400}', "12345678901234567890e0", "[]", '"\\u0000 ä"', "null"];
  for (const text of plain) assert.deepEqual(parse(`[12345678901234567890,${text}]`)[1], JSON.parse(text), text);
  for (const text of ['[12345678901234567890,"', "[12345678901234567890", "[012345678901234567890]", "[1234567890123456789-1]", ""]) assert.throws(() => parse(text), SyntaxError, text);
  assert.deepEqual([stringify({ a: 5n, b: undefined, c: new Date(0) }), stringify([-(2n ** 64n)])], ['{"a":5,"c":"1970-01-01T00:00:00.000Z"}', "[-18446744073709551616]"]);
  assert.equal(stringify(undefined), undefined);
  const round = { n: 1n };
  round.round = round;
  assert.throws(() => stringify(round), TypeError);
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

test("a lost answer to a retry or a removal is no error", async () => {
  const tries = new Map();
  const fetch = async (url, { method }) => {
    const what = `${method} ${url}`;
    tries.set(what, (tries.get(what) ?? 0) + 1);
    if (method === "GET") return Response.json({ id: "j", state: "available" });
    // It was heard, and a proxy answered in the place of a server that had died.
    if (tries.get(what) === 1) return Response.json({}, { status: 503, headers: { "retry-after": "0" } });
    if (what.endsWith("/retry")) return Response.json({ code: "not_finished", detail: "the job is available" }, { status: 409 });
    return Response.json({ code: "not_found", detail: "it is not there" }, { status: 404 });
  };
  const client = new Longhaul({ fetch });
  const job = client.job("j");
  assert.equal((await job.retry()).state, "available");
  await job.delete();
  await client.schedules.delete("s");
  await client.tokens.revoke("t");
  // What was not sent before was not heard before.
  await assert.rejects(job.retry(), { name: "Conflict", code: "not_finished" });
  await assert.rejects(client.schedules.delete("s"), { name: "NotFound" });
});

test("jobs that fail again are not retried for ever", async () => {
  const told = [];
  const fetch = async (_, { body }) => {
    const { dry_run, limit } = JSON.parse(body);
    told.push([dry_run, limit]);
    // Three thousand that fail as soon as they are retried.
    const done = Math.min(3_000, limit);
    return Response.json({ matched: done, done, complete: dry_run });
  };
  const client = new Longhaul({ fetch });
  const acted = await client.jobs.retry({ filter: { state: "failed" } });
  assert.deepEqual(acted, { matched: 4_000, done: 4_000, complete: false });
  assert.deepEqual(told, [[false, 1_000], [true, 10_000], [false, 1_000], [false, 1_000], [false, 1_000]]);
  told.length = 0;
  assert.equal((await client.jobs.retry({ filter: { state: "failed" }, limit: 1_500 })).done, 1_500);
  assert.deepEqual(told, [[false, 1_000], [false, 500]], "a limit is bound enough");
});

test("what no request can be made with is refused at once", async () => {
  const sent = [];
  const fetch = async (_, { headers }) => {
    sent.push(headers);
    return Response.json({ role: "admin" });
  };
  for (const url of ["127.0.0.1:8000", "ftp://jobs", "http://", "http:///jobs"]) assert.throws(() => new Longhaul({ url }), RangeError, url);
  for (const token of ["a\nb", "é", "a\0", "日"]) assert.throws(() => new Longhaul({ token }), RangeError, token);
  const client = new Longhaul({ fetch });
  for (const header of ["a\nb", "é", "日"]) {
    await assert.rejects(client.enqueue("k", null, { idempotencyKey: header }), RangeError, header);
    await assert.rejects(client.enqueue("k", null, { traceparent: header }), RangeError, header);
  }
  // Each of these would be the URL of something else.
  for (const name of [".", ".."]) {
    assert.throws(() => client.job(name), RangeError);
    const asks = [() => client.queues.get(name), () => client.key(name), () => client.tokens.revoke(name), () => client.job("j").signal(name), () => client.redeliver(name)];
    for (const ask of asks) await assert.rejects(async () => ask(), RangeError, `${name} of ${ask}`);
  }
  assert.deepEqual(sent, []);
  // A variable that is not set is no token, and a file with one ends in a newline.
  for (const [token, shown] of [["", undefined], [" \n", undefined], [" secret\n", "Bearer secret"]]) {
    await new Longhaul({ fetch, token }).me();
    assert.equal(sent.pop().authorization, shown);
  }
  // A timer holds no longer time, and one beyond it would be over at once.
  const slow = async (_, { signal }) => {
    await new Promise((resolve) => setImmediate(() => setTimeout(resolve, 2)));
    signal.throwIfAborted();
    return Response.json({ role: "admin" });
  };
  for (const timeout of [Infinity, 2 ** 31]) assert.equal((await new Longhaul({ fetch: slow, timeout }).me()).role, "admin");
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
