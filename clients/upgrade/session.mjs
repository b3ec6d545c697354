// A session of the JavaScript client and worker, of whichever release is installed, at a server of whichever release:
// `session.mjs URL`. It does what both releases know. `scripts/upgrade` runs it with the client of each at the server of each.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { isApiError, isLonghaulError, Longhaul } from "@longhaul/client";
import { Fatal, Worker } from "@longhaul/worker";

const url = process.argv[2];
// Sessions at servers of one store share neither queue nor ids.
const queue = `session-${randomUUID()}`;
const options = { queue, labels: { session: queue } };
const client = new Longhaul({ url });
const worker = new Worker({ url, slots: 4, lease: 15 });
let runs;
const isRunning = new Promise((resolve) => (runs = resolve));

worker.job("session.story", (cx, { words }) => {
  words.forEach((word, number) => {
    cx.progress((100 * (number + 1)) / words.length, `word ${number + 1}`);
    cx.emit(word);
  });
  cx.log("told");
  return { words: words.length, attempt: cx.attempt };
}, { queue });
worker.job("session.frail", async (cx, { failures }) => {
  const done = await cx.step("once", () => randomUUID());
  cx.emit(`${done} in attempt ${cx.attempt}`);
  if (cx.attempt <= failures) throw new TypeError(`broken ${cx.attempt}`);
  return [done, cx.attempt];
}, { queue });
worker.job("session.fatal", () => { throw new Fatal("no retry can help"); }, { queue });
worker.job("session.endless", (cx) => {
  runs();
  return new Promise((_, reject) => cx.signal.addEventListener("abort", () => reject(cx.signal.reason)));
}, { queue });

async function all(items) {
  const seen = [];
  for await (const item of items) seen.push(item);
  return seen;
}
const chunks = async (job) => (await all(job.events())).filter(({ type }) => type === "chunk").map(({ data }) => data);
const endsWith = (name, job) => assert.rejects(job.wait(), (error) => isLonghaulError(error, name));

const working = worker.start();
const told = await client.enqueue("session.story", { words: ["once ", "there ", "were "] }, options);
assert.equal((await chunks(told)).join(""), "once there were ");
assert.deepEqual(await told.wait(), { words: 3, attempt: 1 });
const { state, attempt, labels } = await told.get();
assert.deepEqual({ state, attempt, labels }, { state: "completed", attempt: 1, labels: { session: queue } });

const retried = await client.enqueue("session.frail", { failures: 1 }, { ...options, max_attempts: 2 });
const [done, second] = await retried.wait();
assert.equal(second, 2);
assert.deepEqual((await retried.get()).errors.map(({ message }) => message), ["TypeError: broken 1"]);
assert.equal((await chunks(retried)).at(-1), `${done} in attempt 2`);

const failed = await client.enqueue("session.fatal", {}, options);
await endsWith("JobFailed", failed);
assert.equal((await failed.get()).errors[0].message, "no retry can help");
const exhausted = await client.enqueue("session.frail", { failures: 1 }, { ...options, max_attempts: 1 });
await endsWith("JobFailed", exhausted);
await exhausted.retry({ args: { failures: 0 } });
assert.equal((await exhausted.wait())[1], 1);

// The worker hears of it by the answer to a heartbeat.
const stopped = await client.enqueue("session.endless", {}, options);
await isRunning;
await stopped.cancel();
await endsWith("JobCancelled", stopped);

const many = await client.enqueueMany([0, 1, 2].map((n) => ({ kind: "session.story", args: { words: Array(n).fill("a") }, queue })));
assert.deepEqual(await Promise.all(many.map(async (job) => (await job.wait()).words)), [0, 1, 2]);
const unique = { ...options, unique: { key: queue, period: 3600 } };
const first = await client.enqueue("session.story", { words: [] }, unique);
await first.wait();
assert.equal((await client.enqueue("session.story", { words: [""] }, unique)).id, first.id);
const once = [];
for (let n = 0; n < 2; n++) once.push(await client.enqueue("session.story", { words: [] }, { ...options, idempotencyKey: queue }));
assert.equal(once[0].id, once[1].id);
assert.equal((await once[0].wait()).words, 0);

const later = await client.enqueue("session.story", { words: [] }, { ...options, delay: 86_400 });
assert.equal((await later.get()).state, "scheduled");
await later.cancel();
await endsWith("JobCancelled", later);
const listed = (await all(client.jobs.list({ q: `label.session:${queue}` }))).map(({ id }) => id);
assert.deepEqual(listed.sort(), [told, retried, failed, exhausted, stopped, first, once[0], later].map(({ id }) => id).sort());
assert.equal((await client.queues.pause(queue)).paused, true);
assert.equal((await client.queues.resume(queue)).paused, false);
await told.delete();
await assert.rejects(told.get(), (error) => isApiError(error, 410));

worker.stop();
await working;
