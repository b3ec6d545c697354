// What a client sees: the same of a real server as of the server in memory, so that a test with the one says something of the other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isApiError, isLonghaulError, Longhaul } from "@longhaul/client";
import { MemoryServer } from "@longhaul/client/testing";
import { Worker } from "@longhaul/worker";
import { Server } from "./server.mjs";

/** A real server with the double's `run`: a worker does the work of a kind until none waits. */
class RealServer {
  constructor(url) {
    this.url = url;
  }

  client(options = {}) {
    return new Longhaul({ ...options, url: this.url });
  }

  async run(kind, work) {
    const waiting = await all(this.client().jobs.list({ kind, state: ["available", "scheduled"] }));
    await this.#work(kind, work, (client) => Promise.all(waiting.map(({ id }) => client.job(id).wait().catch(() => undefined))));
    return waiting.length;
  }

  /** Runs jobs of a kind until some are in a state, and the others that wait have ended. */
  async runUntil(kind, work, until) {
    const waiting = (await all(this.client().jobs.list({ kind, state: "available" }))).filter(({ id }) => !until.some(([job]) => job.id === id));
    await this.#work(kind, work, async (client) => {
      const arrived = until.map(async ([{ id }, state]) => {
        const changes = client.events({ kind });
        for await (const _ of changes) if ((await client.job(id).get()).state === state) return;
      });
      await Promise.all([...arrived, ...waiting.map(({ id }) => client.job(id).wait())]);
    });
  }

  async #work(kind, work, over) {
    const client = this.client();
    const worker = new Worker({ url: this.url, warn: () => undefined }).job(kind, (cx, args) => work(args, cx));
    const running = worker.start();
    await over(client);
    worker.stop();
    await running;
  }
}

async function all(items) {
  const seen = [];
  for await (const item of items) seen.push(item);
  return seen;
}

/** The server in memory runs jobs until they have ended or wait, without being told. */
class Double extends MemoryServer {
  runUntil(kind, work) {
    return this.run(kind, work);
  }
}

const STORIES = {
  "a job has its options, and every field that the document gives it": async ({ client, fields }) => {
    const options = { id: "a.b:c-1", priority: 3, max_attempts: 7, timeout: 9, limit_keys: ["provider", "tenant:7"], cost: { slots: 2, rate: 0 }, labels: { tenant: "7" } };
    const job = await (await client.enqueue("k", { n: [1, null] }, options)).get();
    const { kind, queue, args, state, attempt, id, priority, max_attempts, timeout, limit_keys, cost, labels, key } = job;
    assert.deepEqual([{ id, priority, max_attempts, timeout, limit_keys, cost, labels }, key], [options, "provider"]);
    assert.deepEqual([kind, queue, args, state, attempt], ["k", "default", { n: [1, null] }, "available", 0]);
    assert.deepEqual(Object.keys(job).sort(), fields);
    assert.equal((await (await client.enqueue("k", 1, { delay: 60 })).get()).state, "scheduled");
  },

  "integers keep their digits, there and back": async ({ client, server }) => {
    const args = { id: 12_345_678_901_234_567_890n, huge: -(10n ** 60n) - 1n, safe: Number.MAX_SAFE_INTEGER, next: 9_007_199_254_740_992n, share: 0.1, text: '"12345678901234567890' };
    const job = await client.enqueue("echo", args);
    assert.deepEqual((await job.get()).args, args);
    await server.run("echo", (given) => ({ ...given, id: given.id + 1n, few: 5n }));
    const output = { ...args, id: args.id + 1n, few: 5 };
    assert.deepEqual(await job.wait(), output);
    assert.deepEqual((await all(job.events())).find(({ type }) => type === "output").output, output);
    const [listed] = await all(client.jobs.list({ kind: "echo" }));
    assert.deepEqual([listed.args, listed.output], [args, output]);
    // What was read is sent again as it was.
    assert.deepEqual((await job.retry({ args: output })).args, output);
    const copies = await client.enqueueMany([{ kind: "echo", args: listed.output }]);
    assert.deepEqual((await copies[0].get()).args, output);
    assert.deepEqual((await all(client.jobs.list({ q: "args.id:12345678901234567891" }))).length, 2);
  },

  "an output is waited for, its events are told once and in order": async ({ client, server }) => {
    const job = await client.enqueue("double", 21);
    assert.equal(await server.run("double", (n) => 2 * n), 1);
    assert.equal(await job.wait(), 42);
    const events = await all(job.events());
    assert.deepEqual(events.slice(-2).map(({ type, output, state }) => [type, output ?? state]), [["output", 42], ["state", "completed"]]);
    assert.deepEqual(events.map(({ id }) => id), events.map(({ id }) => id).sort((a, b) => a - b));
    assert.deepEqual(await all(job.events({ after: events.at(-2).id })), events.slice(-1));
    assert.deepEqual(await all(job.events({ after: events.at(-1).id })), []);
  },

  "a job that failed runs again while it has attempts left": async ({ client, server }) => {
    const job = await client.enqueue("frail", 3, { max_attempts: 3 });
    let calls = 0;
    await server.run("frail", (n, cx) => {
      if (++calls === 1) cx.emit("one");
      if (calls < n) throw new TypeError(`broken ${calls}`);
      return "well";
    });
    assert.equal(await job.wait(), "well");
    const { attempt, errors } = await job.get();
    assert.deepEqual([attempt, errors.map(({ attempt, message, kind }) => [attempt, message, kind])], [3, [[1, "TypeError: broken 1", "error"], [2, "TypeError: broken 2", "error"]]]);
    // A state is told to those who hear the change; who comes later hears the last one.
    const told = (await all(job.events())).map(({ type, state, attempt }) => [type, state ?? attempt]);
    assert.deepEqual(told, [["chunk", 1], ["reset", 2], ["output", 3], ["state", "completed"]]);
  },

  "a failure is an error that has the job, and a retry runs it again": async ({ client, server }) => {
    const job = await client.enqueue("frail", null, { max_attempts: 1 });
    await server.run("frail", () => Promise.reject(new Error("broken")));
    await assert.rejects(job.wait(), (error) => {
      assert.ok(isLonghaulError(error, "JobFailed") && !isLonghaulError(error, "JobCancelled"));
      assert.deepEqual([error.job.state, error.job.errors.map(({ attempt, message }) => [attempt, message])], ["failed", [[1, "broken"]]]);
      return true;
    });
    assert.equal((await job.retry()).state, "available");
    await server.run("frail", () => "well");
    assert.equal(await job.wait(), "well");
  },

  "a job that is cancelled is an error, and what has not ended is neither retried nor deleted": async ({ client }) => {
    const job = await client.enqueue("k");
    for (const refused of [() => job.retry(), () => job.delete()]) await assert.rejects(refused(), (error) => isApiError(error, 409));
    assert.equal((await job.cancel()).state, "cancelled");
    await assert.rejects(job.wait(), (error) => isLonghaulError(error, "JobCancelled"));
    await job.delete();
    await assert.rejects(job.get(), { name: "Gone" });
    await assert.rejects(client.job("never").get(), { name: "NotFound", code: "no_such_job" });
  },

  "a duplicate is joined or thrown": async ({ client, server }) => {
    const first = await client.enqueue("k", 1, { unique: { key: "one" }, id: "first" });
    assert.equal((await client.enqueue("k", 2, { unique: { key: "one" } })).id, "first");
    assert.equal((await client.enqueue("k", 3, { id: "first" })).last.duplicate, true);
    await assert.rejects(client.enqueue("k", 2, { unique: { key: "one" }, onDuplicate: "throw" }), (error) => error.job.id === "first");
    assert.notEqual((await client.enqueue("other", 2, { unique: { key: "one" } })).id, "first");
    await server.run("k", () => null);
    await first.wait();
    assert.notEqual((await client.enqueue("k", 2, { unique: { key: "one" } })).id, "first");
  },

  "the mode of a unique key says what becomes of a second job": async ({ client }) => {
    const ask = (n, unique, options = {}) => client.enqueue("k", n, { unique: { key: "one", ...unique }, ...options });
    const first = await ask(1, {}, { id: "first" });
    assert.deepEqual([first.status, (await ask(2, {})).status], ["created", "duplicate"]);
    const replaced = await ask(3, { on_clash: "replace" }, { delay: 60 });
    assert.deepEqual([replaced.id, replaced.status, replaced.last.replaced], ["first", "replaced", true]);
    const { args, state } = await first.get();
    assert.deepEqual([args, state], [3, "scheduled"]);
    await assert.rejects(ask(4, { on_clash: "reject" }), (error) => isLonghaulError(error, "DuplicateJob") && error.job.id === "first" && error.job.args === 3);
    const newest = await ask(5, { on_clash: "supersede" });
    assert.deepEqual([newest.status, (await first.get()).cancel_reason], ["created", "superseded"]);
    await assert.rejects(first.retry(), (error) => isApiError(error, 409) && error.code === "unique_key_held");
    await newest.cancel();
    assert.equal((await first.retry()).cancel_reason, null, "the key is free, and is taken again");
    assert.equal((await ask(6, { on_clash: "refresh" })).id, "first");
    assert.equal((await ask(7, { states: ["running"] })).status, "created", "a holder that only waits gives the key up");
  },

  "a burst is one job, its last or its first, and a throttle lets one through": async ({ client }) => {
    const ask = (n, key, unique) => client.enqueue("k", n, { unique: { key, ...unique } });
    const last = { on_clash: "debounce", delay: 600, max_delay: 900 };
    const [one, two] = [await ask(1, "last", last), await ask(2, "last", last)];
    assert.deepEqual([two.id, one.status, two.status, two.last.args, two.last.state], [one.id, "created", "replaced", 2, "scheduled"]);
    const leading = { on_clash: "debounce", delay: 600, edge: "leading" };
    const [begun, later] = [await ask(1, "first", leading), await ask(2, "first", leading)];
    assert.deepEqual([later.id, later.status, later.last.args, later.last.state], [begun.id, "duplicate", 1, "available"]);
    const throttle = { on_clash: "throttle", period: 600 };
    const through = await ask(1, "through", throttle);
    await through.cancel();
    assert.equal((await ask(2, "through", throttle)).id, through.id, "whatever became of it");
    const paths = { unique: { on: ["order.id"] } };
    const order = await client.enqueue("k", { order: { id: 7, n: 1 } }, paths);
    assert.equal((await client.enqueue("k", { order: { id: 7, n: 2 } }, paths)).id, order.id);
    assert.notEqual((await client.enqueue("k", { order: { id: 8, n: 1 } }, paths)).id, order.id);
    const whole = await client.enqueue("k", { a: 1, b: 2 }, { unique: {} });
    assert.equal((await client.enqueue("k", { b: 2, a: 1 }, { unique: {} })).id, whole.id);
  },

  "a completion is the answer for its period": async ({ client, server }) => {
    const ask = () => client.enqueue("quote", 1, { unique: { key: "one", period: 600 } });
    const first = await ask();
    await server.run("quote", () => 12);
    assert.equal(await first.wait(), 12);
    const again = await ask();
    assert.deepEqual([again.id, again.status, await again.wait()], [first.id, "duplicate", 12]);
  },

  "of many, each that is refused or joined says so itself": async ({ client }) => {
    await client.enqueue("k", 0, { id: "holder", unique: { key: "one" }, queue: "q" });
    await client.queues.set("q", { max_waiting: 2 });
    const unique = (on_clash) => ({ kind: "k", unique: { key: "one", on_clash } });
    const jobs = await client.enqueueMany([unique("join"), unique("replace"), unique("reject"), { kind: "k", queue: "q" }, { kind: "k", queue: "q" }]);
    assert.deepEqual(jobs.map(({ status }) => status), ["duplicate", "replaced", "rejected", "created", "full"]);
    assert.deepEqual(jobs.slice(0, 3).map(({ id }) => id), ["holder", "holder", "holder"]);
    await assert.rejects(jobs[4].get(), { name: "NotFound" });
  },

  "a job has its ends by time, and its error says which one came": async ({ client, server }) => {
    const [expires, ends] = [new Date(Date.now() + 300_000), "2100-01-01T00:00:00Z"];
    const job = await client.enqueue("k", 1, { expires_in: 300, deadline: ends });
    const { expires_at, deadline, cancel_reason } = await job.get();
    assert.ok(Math.abs(Date.parse(expires_at) - expires) < 60_000, expires_at);
    assert.deepEqual([Date.parse(deadline), cancel_reason], [Date.parse(ends), null]);
    assert.equal((await job.why()).ends_at, expires_at);
    const soon = await client.enqueue("k", 1, { deadline: 600 });
    assert.equal(Date.parse((await soon.get()).deadline) > Date.now(), true);
    await job.cancel();
    const ended = await job.get();
    assert.deepEqual([ended.state, ended.cancel_reason, (await job.why()).cancel_reason], ["cancelled", "asked", "asked"]);
    const again = await job.retry();
    assert.deepEqual([again.expires_at, again.deadline, again.cancel_reason], [null, null, null], "by hand it has all the time");
    await server.run("k", () => "well");
    assert.equal(await job.wait(), "well");
  },

  "no more wait than a queue or a key has room for": async ({ client, impatient }) => {
    const ask = (id, options = {}) => impatient.enqueue("k", 1, { id, queue: "q", ...options });
    await ask("oldest");
    const { config } = await client.queues.set("q", { max_waiting: 1 });
    assert.deepEqual([config.max_waiting, config.on_full], [1, "reject"]);
    await assert.rejects(client.queues.set("q", { max_waiting: 0 }), (error) => isApiError(error, 422) && error.errors[0].field === "max_waiting");
    await assert.rejects(ask("many"), (error) => isLonghaulError(error, "QueueFull") && isApiError(error, 429) && error.code === "queue_full" && error.retryAfter > 0 && /queue q/.test(error.detail));
    await assert.rejects(client.job("many").get(), { name: "NotFound" });
    await client.queues.set("q", { on_full: "drop_newest" });
    const dropped = await ask("newest");
    assert.deepEqual([(await dropped.get()).state, (await dropped.get()).cancel_reason], ["cancelled", "dropped"]);
    await client.queues.set("q", { on_full: "drop_oldest" });
    assert.equal((await (await ask("fresh")).get()).state, "available");
    assert.equal((await client.job("oldest").get()).cancel_reason, "dropped");
    assert.equal((await client.queues.set("q", { max_waiting: null })).config.max_waiting, null);
    assert.equal((await ask("free")).status, "created");

    await client.setKey("tenant:*", { max_waiting: 1 });
    assert.deepEqual([(await client.key("tenant:1")).max_waiting, (await client.key("tenant:1")).on_full], [1, "reject"]);
    const of = (key, queue) => impatient.enqueue("k", 1, { limit_keys: [key], queue });
    await of("tenant:1", "here");
    await assert.rejects(of("tenant:1", "there"), (error) => error.name === "QueueFull" && /tenant:1/.test(error.detail));
    await of("tenant:2", "there");
  },

  "a job that would wait for an unfinished ancestor is refused": async ({ client, server }) => {
    await client.enqueue("k", 1, { id: "top" });
    await client.enqueue("k", 2, { id: "middle", parent: "top" });
    const below = (...depends_on) => client.enqueue("k", 3, { parent: "middle", depends_on });
    const isRefused = (field) => (error) => isApiError(error, 422) && error.errors[0].field === field && /an ancestor that has not ended/.test(error.errors[0].message);
    await assert.rejects(below("top"), isRefused("depends_on[0]"));
    await assert.rejects(below("top", "middle"), isRefused("depends_on[1]"), "the nearest");
    await assert.rejects(client.enqueueMany([{ kind: "k", id: "low", parent: "middle" }, { kind: "k", parent: "low", depends_on: ["top"] }]), isRefused("[1].depends_on[0]"));
    await server.run("k", () => undefined);
    assert.equal((await (await below("top")).get()).state, "available", "one that has ended is waited for no more");
  },

  "a job waits for those that it depends on, and is cancelled with them unless told otherwise": async ({ client, server }) => {
    const [one, two] = [await client.enqueue("k", 1, { id: "one" }), await client.enqueue("broken", 2, { id: "two", max_attempts: 1 })];
    const on = (n, ...depends_on) => client.enqueue("later", n, { depends_on });
    const [both, either, cancelled] = [await on(1, "one", { id: "two", on_failure: "run" }), await on(2, "one"), await on(3, "two")];
    const { state, waits_for, depends_on } = await both.get();
    assert.deepEqual([state, waits_for, depends_on], ["blocked", "dependencies", [{ id: "one", on_failure: "cancel" }, { id: "two", on_failure: "run" }]]);
    const [reason] = (await both.why()).reasons;
    assert.deepEqual([reason.rule, reason.used, reason.of, reason.waits_for.toSorted()], ["depends_on", 0, 2, ["one", "two"]]);
    const { nodes, edges, complete } = await one.graph();
    assert.deepEqual([nodes.length, edges.length, complete], [5, 4, true]);
    await server.run("k", () => "well");
    assert.equal((await both.get()).state, "blocked");
    await server.run("broken", () => Promise.reject(new Error("broken")));
    await assert.rejects(cancelled.wait(), { name: "JobCancelled" });
    assert.equal((await cancelled.get()).cancel_reason, "dependency");
    await server.run("later", (n) => n);
    assert.deepEqual([await both.wait(), await either.wait()], [1, 2]);
    assert.equal((await (await on(4, "one")).get()).state, "available", "what has ended counts at once");
    const many = await client.enqueueMany([{ kind: "k", id: "a" }, { kind: "k", depends_on: ["a"] }]);
    assert.equal((await many[1].get()).state, "blocked");
    await assert.rejects(on(5, "nobody"), (error) => isApiError(error, 422) && error.errors[0].field === "depends_on[0]");
    await assert.rejects(client.enqueueMany([{ kind: "k", depends_on: ["b"] }, { kind: "k", id: "b" }]), (error) => error.errors[0].field === "[0].depends_on[0]");
  },

  "a signal sets a job that waits for it going, and the first of a name stands": async ({ client, server }) => {
    const job = await client.enqueue("approve", null, { max_attempts: 1 });
    const early = await client.enqueue("approve", null, { max_attempts: 1 });
    assert.equal(await early.signal("answer", { by: "ada" }), true, "an early one is kept");
    const work = async (_, cx) => ({ ...(await cx.waitFor("answer")), attempt: cx.attempt });
    await server.runUntil("approve", work, [[job, "blocked"]]);
    assert.deepEqual(await early.wait(), { by: "ada", attempt: 1 });
    assert.equal((await job.get()).waits_for, "signal:answer");
    assert.deepEqual((await job.why()).reasons, [{ rule: "signal", key: "answer" }]);
    const { token, path } = await job.signalToken("answer", { expires_in: 60 });
    assert.ok(path.endsWith(token), path);
    assert.deepEqual([await client.redeemSignalToken(token, { by: "grace" }), await job.signal("answer", { by: "bob" })], [true, false]);
    await assert.rejects(client.redeemSignalToken("of-nobody"), (error) => isApiError(error, 404) && error.code === "no_such_token");
    await server.run("approve", work);
    assert.deepEqual(await job.wait(), { by: "grace", attempt: 1 });
    await assert.rejects(job.signal("answer"), (error) => isApiError(error, 409) && error.code === "ended");
  },

  "a job waits for its children without a slot": async ({ client, server }) => {
    const job = await client.enqueue("parent", 3);
    const parent = async (n, cx) => {
      await cx.sleep("a moment", 0);
      const ids = await cx.enqueueChildren("pages", Array.from({ length: n }, (_, page) => ({ kind: "page", args: page, ...(page === 2 && { id: "third" }) })));
      return { ids, ended: await cx.waitForChildren() };
    };
    await server.runUntil("parent", parent, [[job, "blocked"]]);
    assert.deepEqual([(await job.get()).waits_for, (await job.why()).reasons[0].rule], ["children", "children"]);
    await server.run("page", (page) => page);
    await server.run("parent", parent);
    const { ids, ended } = await job.wait();
    assert.deepEqual(ids, [`${job.id}.pages.0`, `${job.id}.pages.1`, "third"]);
    assert.deepEqual([ended.total, ended.completed, ended.failed, ended.cancelled], [3, 3, 0, 0]);
  },

  "a job out of attempts may wait for a person, who retries or forks it from a step on": async ({ client, server }) => {
    const job = await client.enqueue("frail", 1, { max_attempts: 1, on_exhausted: "pause", labels: { team: "ops" } });
    const done = [];
    const frail = async (n, cx) => {
      for (const name of ["outline", "draft"]) await cx.step(name, () => done.push(name));
      if (n === 1) throw new Error("broken");
      return "well";
    };
    await server.runUntil("frail", frail, [[job, "blocked"]]);
    const { waits_for, errors } = await job.get();
    assert.deepEqual([waits_for, errors.map(({ message }) => message), (await job.why()).reasons[0].rule], ["person", ["broken"], "exhausted"]);
    await assert.rejects(job.retry({ from_step: "cover" }), (error) => isApiError(error, 404) && error.code === "no_such_step" && /outline, draft/.test(error.detail));
    const fork = await job.fork({ from_step: "draft", args: 2 });
    const { forked_from, labels, args } = await fork.get();
    assert.deepEqual([forked_from, labels, args, fork.status], [job.id, { team: "ops" }, 2, "created"]);
    assert.equal((await job.retry({ from_step: "draft", args: 2 })).state, "available");
    assert.deepEqual((await job.steps()).map(({ name }) => name), ["outline"]);
    await server.run("frail", frail);
    assert.deepEqual([await job.wait(), await fork.wait()], ["well", "well"]);
    assert.deepEqual(done, ["outline", "draft", "draft", "draft"]);
    await assert.rejects(job.retry({ from_step: "draft" }), (error) => isApiError(error, 409) || error.code === "no_such_step");
    assert.equal((await (await job.fork()).get()).state, "available");
  },

  "an idempotency key is one job, and of another request refused": async ({ client }) => {
    const [one, two] = [await client.enqueue("k", 1, { idempotencyKey: "a" }), await client.enqueue("k", 1, { idempotencyKey: "a" })];
    assert.equal(one.id, two.id);
    await assert.rejects(client.enqueue("k", 2, { idempotencyKey: "a" }), { name: "Invalid" });
  },

  "many are enqueued all or none": async ({ client }) => {
    const jobs = await client.enqueueMany([{ kind: "k", id: "x" }, { kind: "k", args: 2 }]);
    assert.deepEqual((await all(client.jobs.list({ kind: "k" }))).map(({ id }) => id), [jobs[1].id, "x"]);
    await assert.rejects(client.enqueueMany([{ kind: "k", id: "y" }, { kind: "k", max_attempts: 0 }]), { name: "Invalid" });
    await assert.rejects(client.job("y").get(), { name: "NotFound" });
  },

  "a request that breaks a rule names the field": async ({ client }) => {
    await assert.rejects(client.enqueue("k", 1, { max_attempts: 0 }), (error) => error.errors[0].field === "max_attempts");
    await assert.rejects(client.enqueue("k", 1, { attempts: 2 }), (error) => isApiError(error, 422) && error.errors[0].field === "attempts");
    await assert.rejects(client.jobs.cancel({ filter: { nope: 1 } }), (error) => isApiError(error, 422));
    const refusals = {
      id: [{ id: "a b" }, { id: ".." }],
      queue: [{ queue: "" }],
      delay: [{ delay: 1, run_at: "2030-01-01T00:00:00Z" }],
      priority: [{ priority: 101 }, { priority: -101 }],
      timeout: [{ timeout: 0 }],
      "labels.a": [{ labels: { a: 1 } }],
      limit_keys: [{ limit_keys: ["a", "b", "c", "d", "e"] }, { limit_keys: ["a", "a"] }],
      "limit_keys[1]": [{ limit_keys: ["a", "b c"] }],
      key: [{ key: "a b" }, { key: "a", limit_keys: ["b"] }],
      expires_in: [{ expires_in: 0 }],
      "webhook.url": [{ webhook: "ftp://example.com" }],
      "webhook.events": [{ webhook: { url: "https://example.com", events: [] } }],
      deadline: [{ deadline: 0 }, { deadline: "tomorrow" }],
      "unique.on_clash": [{ unique: { on_clash: "debounce", delay: 1 }, delay: 1 }],
      "unique.period": [{ unique: { on_clash: "throttle" } }],
      "unique.delay": [{ unique: { on_clash: "debounce" } }, { unique: { on_clash: "debounce", delay: 0 } }, { unique: { delay: 1 } }],
      "unique.max_delay": [{ unique: { on_clash: "debounce", delay: 2, max_delay: 1 } }],
      "unique.states": [{ unique: { states: [] } }],
      "unique.on": [{ unique: { on: [] } }, { unique: { on: ["a"] } }, { unique: { on: ["a"], key: "k" } }],
      "cost.slots": [{ cost: { slots: 0 } }, { cost: { slots: 1_000_001 } }],
      "cost.rate": [{ cost: { rate: 1_000_001 } }],
    };
    for (const [field, all] of Object.entries(refusals)) {
      for (const options of all) await assert.rejects(client.enqueue("k", 1, options), (error) => isApiError(error, 422) && error.errors[0].field === field, JSON.stringify(options));
    }
    await assert.rejects(client.enqueue("k", "x".repeat(262_143)), { name: "Invalid", message: /args: must be at most 262144 bytes of JSON, and has 262145/ });
    await assert.rejects(client.enqueueMany([{ kind: "k" }, { kind: "k", priority: 999 }]), (error) => error.errors[0].field === "[1].priority");
    await assert.rejects(client.jobs.page({ state: "gone" }), /no state is called 'gone'/);
    for (const page of [{ limit: 0 }, { limit: 101 }, { cursor: "there" }]) await assert.rejects(client.jobs.page(page), { name: "Invalid" });
  },

  "lists are newest first, page by page, of what fits": async ({ client }) => {
    await client.enqueueMany(Array.from({ length: 7 }, (_, n) => ({ kind: n < 5 ? "many" : "few", args: n, queue: n % 2 ? "odd" : "even", labels: { n: `${n}` } })));
    const args = async (filter) => (await all(client.jobs.list(filter))).map(({ args }) => args);
    assert.deepEqual(await args({ limit: 2 }), [6, 5, 4, 3, 2, 1, 0]);
    assert.deepEqual(await args({ kind: "many", queue: ["odd"] }), [3, 1]);
    assert.deepEqual(await args({ labels: { n: "6" } }), [6]);
    assert.deepEqual(await args({ state: "running" }), []);
    assert.deepEqual(await args({ kind: [] }), []);
    await client.enqueue("large", "x".repeat(1_023));
    const [{ args: none, args_cut, args_bytes }] = await all(client.jobs.list({ kind: "large" }));
    assert.deepEqual([none, args_cut, args_bytes], [null, true, 1_025], "what is large is left out of a list");
    assert.deepEqual(await args({ kind: "large", full: true }), ["x".repeat(1_023)]);
  },

  "a queue is paused and resumed, and a job says why it waits": async ({ client, server }) => {
    const [job, later] = [await client.enqueue("k", 1, { queue: "q" }), await client.enqueue("k", 1, { delay: 60 })];
    assert.deepEqual((await later.why()).reasons.map(({ rule }) => rule), ["run_at"]);
    assert.equal((await client.queues.pause("q")).paused, true);
    const { paused, counts } = await client.queues.get("q");
    assert.deepEqual([paused, counts.paused, counts.waiting], [true, 1, 0]);
    assert.deepEqual((await (await client.enqueue("k", 1, { queue: "open" })).why()).reasons, [{ rule: "no_worker", key: "open" }]);
    assert.ok((await job.why()).reasons.some(({ rule }) => rule === "paused_queue"));
    assert.equal((await client.queues.resume("q")).paused, false);
    assert.ok((await client.queues.list()).some(({ name }) => name === "q"));
    await assert.rejects(client.queues.get("nowhere"), { name: "NotFound" });
    const { config } = await client.queues.set("q", { retention: { failed: { count: 3 } } });
    assert.deepEqual(config.retention, { completed: { age: 86_400, count: null }, failed: { age: 1_209_600, count: 3 }, cancelled: { age: 86_400, count: null } });
    assert.deepEqual(await job.steps(), []);
  },

  "a queue has slots and a rate until they are taken away, and a job tells the workers that it prefers": async ({ client }) => {
    const set = await client.queues.set("q", { slots: 2, rate: { n: 90, per: 60 } });
    assert.deepEqual([set.config.slots, set.config.rate, set.used, set.rate_left, set.rate_free_at], [2, { n: 90, per: 60, burst: 9 }, 0, 9, null]);
    assert.deepEqual((await client.queues.set("q", { fair: true })).config.slots, 2, "what is left out stays");
    for (const [wrong, field] of [[{ slots: 0 }, "slots"], [{ rate: { n: 0, per: 1 } }, "rate.n"], [{ rate: { n: 1, per: 0 } }, "rate.per"]]) {
      await assert.rejects(client.queues.set("q", wrong), (error) => isApiError(error, 422) && error.errors[0].field === field);
    }
    const { config, used, rate_left } = await client.queues.set("q", { slots: null, rate: null });
    assert.deepEqual([config.slots, config.rate, used, rate_left], [null, null, null, null]);
    const job = await (await client.enqueue("k", 1, { prefer: { gpu: "a100" }, prefer_hard: true })).get();
    assert.deepEqual([job.prefer, job.prefer_hard], [{ gpu: "a100" }, true]);
    const plain = await (await client.enqueue("k", 1)).get();
    assert.deepEqual([plain.prefer, plain.prefer_hard], [null, false]);
    for (const [wrong, field] of [[{ prefer: {} }, "prefer"], [{ prefer: { gpu: "a 100" } }, "prefer.gpu"], [{ prefer_hard: true }, "prefer_hard"]]) {
      await assert.rejects(client.enqueue("k", 1, wrong), (error) => isApiError(error, 422) && error.errors[0].field === field);
    }
  },

  "the limits of a key are its own or those of its longest prefix, and are taken away": async ({ client }) => {
    const limits = { slots: 2, rate: { n: 90, per: 60 }, weight: 3 };
    const set = await client.setKey("tenant:*", limits);
    const told = { waiting: 0, running: 0, slots: 2, rate: { n: 90, per: 60, burst: 9 }, weight: 3, max_waiting: null, on_full: "reject", closed_until: null, rate_free_at: null };
    assert.deepEqual(set, { key: "tenant:*", own: true, ...told });
    assert.deepEqual(await client.key("tenant:7"), { key: "tenant:7", own: false, ...told });
    await client.setKey("*", { slots: 1 });
    assert.deepEqual([(await client.key("tenant:7")).slots, (await client.key("other")).slots], [2, 1]);
    assert.equal((await client.setKey("tenant:7", {})).slots, null, "all of them at once");
    for (const key of ["tenant:7", "tenant:*", "*"]) await client.removeKey(key);
    const { slots, rate, weight, own } = await client.key("tenant:7");
    assert.deepEqual([slots, rate, weight, own, await client.keys()], [null, null, 1, false, []]);
    const refusals = [
      [() => client.setKey("a", { slots: 0 }), "slots"],
      [() => client.setKey("a", { weight: 1_001 }), "weight"],
      [() => client.setKey("a", { rate: { n: 0, per: 1 } }), "rate.n"],
      [() => client.setKey("a", { rate: { n: 1, per: 0 } }), "rate.per"],
      [() => client.setKey("a", { rate: { n: 1, per: 1, burst: 0 } }), "rate.burst"],
      [() => client.setKey("a", { max_waiting: 0 }), "max_waiting"],
      [() => client.setKey("a", { most: 1 }), "most"],
      [() => client.setKey("*a", { slots: 1 }), "key"],
      [() => client.pauseKey("a*"), "key"],
      [() => client.pauseKey("a", { for: -1 }), "for"],
      [() => client.keysPage({ limit: 0 }), "limit"],
    ];
    for (const [refused, field] of refusals) await assert.rejects(refused(), (error) => isApiError(error, 422) && error.errors[0].field === field, field);
  },

  "keys are listed by prefix and queue, page by page": async ({ client }) => {
    await client.enqueueMany([0, 1, 2].map((n) => ({ kind: "k", limit_keys: [`tenant:${n}`, "provider"] })));
    await client.enqueue("k", 1, { queue: "mail", limit_keys: ["tenant:9"] });
    const names = (keys) => keys.map(({ key }) => key);
    assert.deepEqual(names(await client.keys()), ["provider", "tenant:0", "tenant:1", "tenant:2", "tenant:9"]);
    assert.deepEqual(names(await client.keys({ queue: "mail" })), ["tenant:9"]);
    const first = await client.keysPage({ prefix: "tenant:", limit: 3 });
    assert.deepEqual([names(first.keys), first.next], [["tenant:0", "tenant:1", "tenant:2"], "tenant:2"]);
    const second = await client.keysPage({ prefix: "tenant:", limit: 3, cursor: first.next });
    assert.deepEqual([names(second.keys), second.next], [["tenant:9"], null]);
    assert.equal((await client.key("provider")).waiting, 3);
    assert.deepEqual((await all(client.jobs.list({ q: "key:tenant:1" }))).map(({ key }) => key), ["tenant:1"]);
    assert.equal((await all(client.jobs.list({ q: "key:provider" }))).length, 3, "any of a job's keys");
  },

  "a paused key keeps its jobs waiting until it is resumed": async ({ client, server }) => {
    const [held, other] = [await client.enqueue("k", 1, { limit_keys: ["tenant:7", "provider"] }), await client.enqueue("k", 2)];
    const paused = await client.pauseKey("provider");
    assert.ok(Date.parse(paused.closed_until) > Date.now() + 1e12, "until it is resumed");
    assert.equal((await client.pauseKey("provider", { for: 60 })).closed_until, paused.closed_until, "a longer pause is not shortened");
    const { state, reasons } = await held.why();
    assert.deepEqual([state, reasons[0]], ["available", { rule: "paused_key", key: "provider", until: paused.closed_until }]);
    assert.deepEqual((await other.why()).reasons.map(({ rule }) => rule), ["no_worker"]);
    assert.deepEqual([(await client.resumeKey("provider")).closed_until, (await held.why()).reasons.map(({ rule }) => rule)], [null, ["no_worker"]]);
    await server.run("k", () => "well");
    assert.equal(await held.wait(), "well");
  },

  "no more of a key runs than it has slots, and slots are given back": async ({ client, server }) => {
    await client.setKey("gpu", { slots: 3 });
    const jobs = await client.enqueueMany([2, 2, 1, 1, 9].map((slots) => ({ kind: "train", limit_keys: ["gpu"], cost: { slots } })));
    await server.run("train", async () => (await client.key("gpu")).running);
    const taken = await Promise.all(jobs.map((job) => job.wait()));
    assert.ok(taken.every((running) => running >= 1 && (running <= 3 || running === 9)), `${taken}`);
    assert.equal(taken[4], 9, "what takes more than all slots runs alone");
    assert.equal((await client.key("gpu")).running, 0);
  },

  "a queue lets its keys take turns": async ({ client }) => {
    await client.enqueue("k", 1, { queue: "q" });
    assert.equal((await client.queues.get("q")).config.fair, false);
    const { config } = await client.queues.set("q", { fair: true });
    assert.deepEqual([config.fair, config.retention.failed.count], [true, null]);
    assert.equal((await client.queues.set("q", { retention: { failed: { count: 3 } } })).config.fair, true);
  },

  "a job that has ended runs again with other args": async ({ client, server }) => {
    const job = await client.enqueue("double", 1);
    await server.run("double", (n) => 2 * n);
    assert.equal((await job.retry({ args: 4 })).args, 4);
    await server.run("double", (n) => 2 * n);
    assert.equal(await job.wait(), 8);
  },

  "waiting jobs get another priority": async ({ client }) => {
    const jobs = await client.enqueueMany([{ kind: "k" }, { kind: "k" }, { kind: "other" }]);
    assert.deepEqual(await client.jobs.setPriority({ filter: { kind: "k" }, priority: 7 }), { matched: 2, done: 2, complete: true });
    assert.deepEqual(await Promise.all(jobs.map(async (job) => (await job.get()).priority)), [7, 7, 0]);
  },

  "a search goes by words, and says how far it has looked": async ({ client }) => {
    await client.enqueueMany([
      { kind: "mail", args: { to: "olga@example.com", n: 1 }, labels: { tenant: "7" } },
      { kind: "mail", args: { to: "bob@example.com", n: 2 }, queue: "slow" },
      { kind: "ocr", args: { page: "two words" }, labels: { tenant: "8" } },
    ]);
    const kinds = async (q) => (await all(client.jobs.list({ q }))).map(({ kind, queue }) => `${kind} ${queue}`);
    assert.deepEqual(await kinds("kind:mail"), ["mail slow", "mail default"]);
    assert.deepEqual(await kinds("kind:mail -queue:slow"), ["mail default"]);
    assert.deepEqual(await kinds("label.tenant:8"), ["ocr default"]);
    assert.deepEqual(await kinds("args.n:2"), ["mail slow"]);
    assert.deepEqual(await kinds('"two words"'), ["ocr default"]);
    assert.deepEqual(await kinds("OLGA"), ["mail default"]);
    const page = await client.jobs.page({ q: "bob" });
    assert.deepEqual([page.jobs.length, page.next, page.searched.complete, page.searched.jobs], [1, null, true, 3]);
  },

  "many are counted, cancelled, retried and deleted by a filter": async ({ client }) => {
    await client.enqueueMany(Array.from({ length: 1_100 }, (_, n) => ({ kind: "many", args: n })));
    const filter = { kind: "many" };
    assert.deepEqual(await client.jobs.cancel({ filter, dryRun: true }), { matched: 1_100, done: 1_100, complete: true });
    assert.equal((await client.jobs.cancel({ filter })).done, 1_100);
    assert.equal((await client.jobs.cancel({ filter: { kind: [] } })).done, 0);
    assert.equal((await client.jobs.retry({ filter, limit: 5 })).done, 5);
    assert.equal((await client.jobs.delete({ filter })).done, 1_095);
    assert.equal((await all(client.jobs.list(filter))).length, 5);
  },
};

test("a client sees the same", { concurrency: 4, timeout: 600_000 }, async (t) => {
  const { url } = await Server.start(t);
  const { components } = await (await fetch(`${url}/api/openapi.json`)).json();
  const fields = components.schemas.Job.required.toSorted();
  await Promise.all(
    Object.entries(STORIES).flatMap(([name, story]) => [
      t.test(`in memory: ${name}`, () => {
        const server = new Double();
        return story({ client: server.client(), server, fields, impatient: server.client({ maxRetries: 0 }) });
      }),
      t.test(`of a server: ${name}`, async (t) => {
        const server = new RealServer((await Server.start(t)).url);
        await story({ client: server.client({ maxRetries: 5 }), server, fields, impatient: server.client({ maxRetries: 0 }) });
      }),
    ]),
  );
});
