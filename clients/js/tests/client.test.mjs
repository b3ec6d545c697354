import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isApiError, isLonghaulError, Longhaul } from "@longhaul/client";
import { Fatal, Snooze, Worker } from "@longhaul/worker";
import { Server, signal } from "./server.mjs";

const parallel = { concurrency: 4, timeout: 600_000 };

/** A server, a client, and a worker that is started with what `register` gives it. */
async function setUp(test, register, options = {}) {
  const server = await Server.start(test);
  const client = new Longhaul({ url: server.url, maxRetries: 5 });
  const warnings = [];
  const worker = new Worker({ url: server.url, lease: 5, drain: 5, warn: (message) => warnings.push(message), ...options });
  if (register !== undefined) {
    register(worker);
    const running = worker.start();
    test.after(async () => {
      worker.stop();
      await running;
    });
  }
  return { server, client, warnings };
}

async function all(events) {
  const seen = [];
  for await (const event of events) seen.push(event);
  return seen;
}

test("against a server", parallel, async (t) => {
  await Promise.all([
    t.test("a job runs and its output is answered", async (t) => {
      const { client } = await setUp(t, (worker) => worker.job("add", (_, { a, b }) => a + b));
      assert.equal(await client.run("add", { a: 1, b: 2 }), 3);
    }),

    t.test("a token is made, used and revoked, and the log tells it", async (t) => {
      const { server, client } = await setUp(t);
      const made = await client.tokens.create({ name: "shop", scopes: ["enqueue:add", "read:own"], rate: { n: 100, per: 60 }, expires_in: 3_600 });
      assert.deepEqual((await client.tokens.list()).map(({ id }) => id), [made.id]);
      await client.enqueue("add", { a: 0, b: 0 });
      const shop = new Longhaul({ url: server.url, token: made.token });
      assert.deepEqual((await shop.me()).scopes, ["enqueue:add", "read:own"]);
      const job = await shop.enqueue("add", { a: 1, b: 2 });
      assert.deepEqual((await all(shop.jobs.list())).map(({ id }) => id), [job.id]);
      assert.deepEqual((await all(client.jobs.list({ created_by: made.id }))).map(({ id }) => id), [job.id]);
      assert.equal(typeof (await client.job(job.id).readToken({ expires_in: 60 })), "string");
      await assert.rejects(client.job(job.id).readToken({ expires_in: 100_000 }), { name: "Invalid" });
      await assert.rejects(shop.enqueue("other"), { code: "forbidden" });
      await client.tokens.revoke(made.id);
      assert.deepEqual(await client.tokens.list(), []);
      await client.queues.pause("default");
      const { entries } = await client.audit({ limit: 2 });
      assert.deepEqual(entries.map(({ action }) => action), ["queue.pause", "token.delete"]);
    }),

    t.test("what a webhook told is listed and sent again", async (t) => {
      const { client } = await setUp(t);
      const url = "http://127.0.0.1:1/hook";
      const job = await client.enqueue("add", null, { webhook: { url, events: ["cancelled"] } });
      const [waiting] = await job.deliveries();
      assert.deepEqual([waiting.url, waiting.events, waiting.event, waiting.state], [url, ["cancelled"], null, "blocked"]);
      await assert.rejects(client.redeliver(waiting.id), { name: "Conflict", code: "not_finished" });
      await job.cancel();
      // The server was not told that it may call its own machine.
      await assert.rejects(client.job(waiting.id).wait(), { name: "JobFailed" });
      const [failed] = await job.deliveries();
      assert.deepEqual([failed.state, failed.event, failed.status], ["failed", "cancelled", null]);
      assert.match(failed.failures[0].error, /127\.0\.0\.1 is a loopback address/);
      const again = await client.redeliver(failed.id);
      assert.equal(again.message_id, failed.message_id);
      assert.deepEqual((await job.deliveries()).map(({ id }) => id), [failed.id, again.id]);
      await assert.rejects(client.redeliver(job.id), { name: "NotFound", code: "no_such_delivery" });
    }),

    t.test("webhooks are signed with two secrets at most", async (t) => {
      const { client } = await setUp(t);
      const made = [await client.webhookSecrets.create(), await client.webhookSecrets.create()];
      for (const { secret } of made) assert.match(secret, /^whsec_/);
      await assert.rejects(client.webhookSecrets.create(), { name: "Conflict", code: "too_many_secrets" });
      const listed = await client.webhookSecrets.list();
      assert.deepEqual(listed.map(({ id, secret }) => [id, secret]), made.map(({ id }) => [id, undefined]));
      await client.webhookSecrets.delete(made[0].id);
      assert.deepEqual((await client.webhookSecrets.list()).map(({ id }) => id), [made[1].id]);
      await assert.rejects(client.webhookSecrets.delete(made[0].id), { name: "NotFound" });
    }),

    t.test("a schedule is kept, run by hand, paused and deleted", async (t) => {
      const { client } = await setUp(t, (worker) => worker.job("add", (_, { a, b }) => a + b));
      const job = { kind: "add", args: { a: 1, b: 2 }, labels: { team: "ops" } };
      const made = await client.schedules.set("nightly", { cron: "0 3 * * *", timezone: "Europe/Berlin", job });
      assert.deepEqual([made.description, made.next.length, made.last_at], ["At 03:00 (Europe/Berlin)", 5, null]);
      assert.deepEqual((await client.schedules.list()).map(({ name }) => name), ["nightly"]);
      assert.equal(await (await client.schedules.run("nightly")).wait(), 3);
      assert.equal((await client.schedules.pause("nightly")).paused, true);
      assert.equal((await client.schedules.get("nightly")).paused, true);
      assert.equal((await client.schedules.resume("nightly")).paused, false);
      await client.schedules.delete("nightly");
      await assert.rejects(client.schedules.get("nightly"), { name: "NotFound", code: "no_such_schedule" });
      await assert.rejects(client.schedules.set("s", { cron: "0 3 * *", job }), { name: "Invalid" });
    }),

    t.test("children are enqueued once there is room for each", async (t) => {
      const { client } = await setUp(t, (worker) =>
        worker.job("page", () => null, { queue: "pages" }).job("order", async (cx) => {
          await cx.enqueueChildren("pages", [0, 1].map((args) => ({ kind: "page", queue: "pages", args })));
          return (await cx.waitForChildren()).completed;
        }),
      );
      await client.queues.set("pages", { max_waiting: 1 });
      assert.equal(await client.run("order", null), 2);
    }),

    t.test("jobs of a collected kind come in one call, and each ends by itself", async (t) => {
      const calls = [];
      const { client } = await setUp(t, (worker) =>
        worker.collect(
          "row",
          async (jobs) => {
            calls.push(jobs.map(({ args }) => args.n));
            for (const { cx, args } of jobs) cx.progress(50, `row ${args.n}`);
            const [first, second, third] = jobs;
            first.complete({ n: first.args.n });
            second.fail(new Fatal("no such row"));
            assert.deepEqual([first, second, third].map(({ hasEnded }) => hasEnded), [true, true, false]);
            await Promise.resolve();
            throw new Error("the rest");
          },
          { max: 3, wait: 3_600, by: "tenant.id" },
        ),
      );
      const rows = [1, 2, 1, 2, 1, 2].map((id, n) => ({ kind: "row", args: { tenant: { id }, n }, max_attempts: 1 }));
      const jobs = await client.enqueueMany(rows);
      const ended = [];
      for (const job of jobs) {
        await job.wait().catch(() => undefined);
        ended.push(await job.get());
      }
      assert.deepEqual(calls.sort(), [[0, 2, 4], [1, 3, 5]]);
      assert.deepEqual(ended.map(({ state }) => state), ["completed", "completed", "failed", "failed", "failed", "failed"]);
      assert.deepEqual([ended[1].output, ended[2].errors[0].message, ended[4].errors[0].message], [{ n: 1 }, "no such row", "the rest"]);
      assert.deepEqual(ended.map(({ progress }) => progress.message), [0, 1, 2, 3, 4, 5].map((n) => `row ${n}`));
    }),

    t.test("a call begins when its first job has waited, and what it forgets has failed", async (t) => {
      const complete = (jobs) => jobs.forEach((job) => job.args === "forget" || job.complete(job.args));
      const { client } = await setUp(t, (worker) => worker.collect("row", complete, { wait: 0.05 }));
      const [kept, forgotten] = [await client.enqueue("row", 1), await client.enqueue("row", "forget", { max_attempts: 1 })];
      assert.equal(await kept.wait(), 1);
      await assert.rejects(forgotten.wait(), { name: "JobFailed", message: /gave it no end of its own/ });
    }),

    t.test("a job whose time is over leaves its call, which goes on for the others", async (t) => {
      const { given, give } = signal();
      const work = async (jobs) => {
        await given;
        for (const job of jobs) job.complete(job.hasEnded);
      };
      const { client } = await setUp(t, (worker) => worker.collect("row", work, { max: 2, wait: 3_600 }));
      const [brief, other] = [await client.enqueue("row", 0, { timeout: 0.2, max_attempts: 1 }), await client.enqueue("row", 1)];
      await assert.rejects(brief.wait(), { name: "JobFailed", message: /took longer than 0.2 s/ });
      give();
      assert.equal(await other.wait(), false);
    }),

    t.test("what is cancelled while it waits for others is left out, and a shutdown gives the rest back", async (t) => {
      const { server, client } = await setUp(t);
      const worker = new Worker({ url: server.url, lease: 2 });
      worker.collect("row", () => assert.fail("no call is due"), { max: 9, wait: 3_600 });
      const running = worker.start();
      const [cancelled, other] = [await client.enqueue("row", 0), await client.enqueue("row", 1)];
      for (const job of [cancelled, other]) for await (const { state } of job.events()) if (state === "running") break;
      await cancelled.cancel();
      await assert.rejects(cancelled.wait(), { name: "JobCancelled" });
      worker.stop();
      await running;
      const { state, attempt } = await other.get();
      assert.deepEqual([state, attempt], ["available", 0]);
    }),

    t.test("calls and jobs of other kinds take turns at a slot", async (t) => {
      const order = [];
      const register = (worker) =>
        worker
          .collect("row", (jobs) => jobs.forEach((job) => job.complete(order.push("call"))), { max: 2, wait: 3_600 })
          .job("single", () => order.push("single"));
      const { client, server } = await setUp(t);
      const jobs = await client.enqueueMany(["row", "row", "row", "row", "single", "single"].map((kind) => ({ kind, args: null })));
      const worker = register(new Worker({ url: server.url, slots: 1 }));
      const running = worker.start();
      for (const job of jobs) await job.wait();
      worker.stop();
      await running;
      assert.deepEqual(order.sort(), ["call", "call", "call", "call", "single", "single"]);
    }),

    t.test("a collect out of bounds is refused", () => {
      const refused = (options) => assert.throws(() => new Worker().collect("row", () => undefined, options), RangeError);
      for (const options of [{ max: 0 }, { max: 1_001 }, { wait: 3_601 }, { by: "a..b" }]) refused(options);
    }),

    t.test("chunks, progress and logs are followed to the end, and nothing is told twice", async (t) => {
      const { client } = await setUp(t, (worker) =>
        worker.job("write", async (cx) => {
          cx.progress(50, "half", { page: 1 });
          cx.log("writing", "warn");
          for (const word of ["slow ", "work ", "done"]) cx.emit(word);
          return "whole";
        }),
      );
      const job = await client.enqueue("write", {});
      const events = await all(job.events());
      assert.deepEqual(events.filter(({ type }) => type === "chunk").map(({ data }) => data), ["slow ", "work ", "done"]);
      assert.ok(events.some((event) => event.type === "log" && event.level === "warn"));
      assert.deepEqual(events.filter(({ type }) => type === "output").map(({ output }) => output), ["whole"]);
      assert.equal(events.at(-1).state, "completed");
      assert.equal(await job.text(), "slow work done");
      assert.deepEqual((await job.get()).progress, { percent: 50, message: "half", data: { page: 1 } });
      assert.deepEqual(await all(job.events({ after: events.at(-1).id })), []);
    }),

    t.test("a failed attempt is reset, and its steps are not done again", async (t) => {
      const done = [];
      const { client } = await setUp(t, (worker) =>
        worker.job("steps", async (cx) => {
          cx.emit(`attempt ${cx.attempt}`);
          const first = await cx.step("first", () => done.push("first") && 7);
          if (cx.attempt === 1) throw new TypeError("broken");
          return [first, cx.attempt];
        }),
      );
      const job = await client.enqueue("steps");
      assert.equal(await job.text(), "attempt 2");
      const { output, errors } = await job.get();
      assert.deepEqual([output, done], [[7, 2], ["first"]]);
      assert.match(errors[0].message, /TypeError: broken/);
    }),

    t.test("a fatal error fails at once, a snooze costs no attempt, an output that is no JSON fails its own job", async (t) => {
      let calls = 0;
      const { client } = await setUp(t, (worker) =>
        worker
          .job("fatal", () => {
            throw new Fatal("no retry can help");
          })
          .job("later", (cx) => {
            if (++calls === 1) throw new Snooze(0);
            return cx.attempt;
          })
          .job("odd", () => () => 1),
      );
      await assert.rejects(client.run("fatal"), (error) => error.name === "JobFailed" && error.job.attempt === 1);
      await assert.rejects(client.run("odd", null, { max_attempts: 1 }), { name: "JobFailed" });
      assert.equal(await client.run("later"), 1);
      assert.equal(calls, 2);
    }),

    t.test("a cancelled job stops its handler", async (t) => {
      const [started, stopped] = [signal(), signal()];
      const register = (worker) =>
        worker.job("long", async (cx) => {
          started.give();
          await once(cx.signal, "abort");
          stopped.give();
          cx.signal.throwIfAborted();
        });
      // A heartbeat has a third of a lease for its answer, which a busy machine may need: one that is late is a warning.
      const { client, warnings } = await setUp(t, register, { lease: 60 });
      const job = await client.enqueue("long");
      await started.given;
      await job.cancel();
      await assert.rejects(job.wait(), { name: "JobCancelled" });
      await stopped.given;
      assert.deepEqual(warnings, [], "the heartbeat that told it got through");
    }),

    t.test("a deadline cuts a handler off, and is no failure of an attempt", async (t) => {
      const stopped = signal();
      const { client } = await setUp(t, (worker) =>
        worker.job("long", async (cx) => {
          await once(cx.signal, "abort");
          stopped.give();
          return "too late";
        }).job("brief", (_, args) => args),
      );
      // A deadline counts from the enqueue: the worker's own start must not use it up.
      assert.equal(await client.run("brief", 0), 0);
      const job = await client.enqueue("long", null, { deadline: 15 });
      await assert.rejects(job.wait(), { name: "JobExpired", code: "job_expired" });
      await stopped.given;
      const { state, attempt, errors, cancel_reason } = await job.get();
      assert.deepEqual([state, attempt, cancel_reason, errors.map(({ message }) => message)], ["cancelled", 1, "deadline", ["stopped, because its deadline has passed"]]);
      // One of more milliseconds than a timer can have is not over at once.
      assert.equal(await client.run("brief", 1, { deadline: 90 * 86_400, timeout: 60 * 86_400 }), 1);
    }),

    t.test("a run settles what it took, and later ones wait for it, or not", async (t) => {
      const { client } = await setUp(t, (worker) =>
        worker.job("ask", (cx, taken) => {
          if (taken === null) assert.throws(() => cx.settle(-1), TypeError);
          else cx.settle(taken);
        }),
      );
      await client.setKey("tokens:*", { rate: { n: 10, per: 3_600, burst: 10 } });
      const isFree = async (key, taken, rate) => {
        await client.run("ask", taken, { limit_keys: [key], cost: { rate } });
        return (await client.key(key)).rate_free_at === null;
      };
      assert.deepEqual([await isFree("tokens:a", 20, 1), await isFree("tokens:b", 0, 10)], [false, true], "more, and less, than was set aside");
      assert.deepEqual([await isFree("tokens:c", null, 1), await isFree("tokens:d", null, 10)], [true, false], "what is not settled stays as it was");
    }),

    t.test("an abort ends the waiting and not the job, unless it is asked to", async (t) => {
      const { client } = await setUp(t);
      const job = await client.enqueue("nobody");
      await assert.rejects(job.wait({ timeout: 50 }), (error) => error.name === "TimeoutError" && error.handle.id === job.id);
      await assert.rejects(job.wait({ signal: AbortSignal.timeout(50) }));
      assert.equal((await job.get()).state, "available");
      await assert.rejects(job.wait({ signal: AbortSignal.timeout(50), cancelOnAbort: true }));
      assert.equal((await job.get()).state, "cancelled");
    }),

    t.test("many are listed, cancelled, retried and deleted by a filter", async (t) => {
      const { client } = await setUp(t);
      await client.enqueueMany(Array.from({ length: 1_200 }, (_, n) => ({ kind: "many", args: n, labels: { even: String(n % 2 === 0) } })));
      assert.equal((await all(client.jobs.list({ kind: "many", labels: { even: "true" }, limit: 100 }))).length, 600);
      assert.deepEqual(await all(client.jobs.list({ kind: [] })), []);
      assert.equal((await client.jobs.cancel({ filter: { kind: "many" }, dryRun: true })).done, 1_200);
      assert.equal((await client.jobs.cancel({ filter: { kind: "many" } })).done, 1_200);
      assert.equal((await client.jobs.retry({ filter: { kind: "many" }, limit: 5 })).done, 5);
      assert.equal((await client.jobs.delete({ filter: { kind: "many", state: "cancelled" } })).done, 1_195);
    }),

    t.test("errors name the field, and duplicates are joined or thrown", async (t) => {
      const { client } = await setUp(t);
      await assert.rejects(client.enqueue("x", {}, { max_attempts: 0 }), (error) => error.errors[0].field === "max_attempts");
      await assert.rejects(client.job("unknown").get(), (error) => isApiError(error, 404) && isLonghaulError(error));
      const first = await client.enqueue("x", {}, { unique: { key: "k" } });
      assert.equal((await client.enqueue("x", {}, { unique: { key: "k" } })).id, first.id);
      await assert.rejects(client.enqueue("x", {}, { unique: { key: "k" }, onDuplicate: "throw" }), { name: "DuplicateJob" });
    }),

    t.test("the live feed tells of each change, and of a gap where the server was away; failures are grouped and counted", async (t) => {
      const { server } = await setUp(t, (worker) =>
        worker.job("frail", () => {
          throw new Error("no page 7");
        }),
      );
      const client = new Longhaul({ url: server.url, maxRetries: 10 });
      const feed = client.events({ kind: "frail" });
      assert.deepEqual((await feed.next()).value, { type: "gap" }, "from here on changes are told");
      const job = await client.enqueue("frail", null, { max_attempts: 1 });
      const seen = [(await feed.next()).value];
      while (seen.at(-1).state !== "failed") seen.push((await feed.next()).value);
      assert.ok(seen.every(({ type, id, kind }) => type === "job" && id === job.id && kind === "frail"), JSON.stringify(seen));
      assert.deepEqual(seen.map(({ state }) => state), ["available", "running", "failed"]);
      const [{ kind, count, message, job: example }] = await client.errors({ kind: "frail" });
      assert.deepEqual([kind, count, example], ["frail", 1, job.id]);
      assert.match(message, /no page/);
      const { series } = await client.stats({ window: 600, kind: "frail" });
      assert.deepEqual([series.reduce((sum, { failed }) => sum + failed, 0), series.reduce((sum, { enqueued }) => sum + enqueued, 0)], [1, 1]);
      // The worker's first heartbeat may be on its way yet.
      while (!(await client.kinds()).some(({ kind, known, workers }) => kind === "frail" && known && workers === 1));
      assert.ok((await client.workers()).some(({ kinds, version }) => kinds.some(({ kind }) => kind === "frail") && version.startsWith("longhaul-js ")));
      assert.deepEqual([await client.keys(), (await client.me()).role], [[], "admin"]);
      const gap = feed.next();
      await server.restart();
      assert.deepEqual((await gap).value, { type: "gap" });
      await client.jobs.delete({ filter: { ids: [job.id] } });
      const { value } = await feed.next();
      assert.deepEqual([value.id, value.state], [job.id, null]);
      await feed.return();
    }),

    t.test("a reader and a worker live through a server that is killed", async (t) => {
      const [said, go] = [signal(), signal()];
      const { client, server } = await setUp(
        t,
        (worker) =>
          worker.job("story", async (cx) => {
            cx.emit("before ");
            // Once the server has answered: what it has kept and not answered is sent to the next one again.
            await cx.step("said", () => true);
            said.give();
            await go.given;
            cx.emit("after");
            return "told";
          }),
        { lease: 30 },
      );
      const job = await client.enqueue("story");
      const chunks = [];
      for await (const event of job.events()) {
        if (event.type !== "chunk") continue;
        if (chunks.push(event.data) === 1) {
          await said.given;
          await server.restart();
          go.give();
        }
      }
      assert.deepEqual(chunks, ["before ", "after"]);
      assert.equal(await job.wait(), "told");
      assert.equal((await job.get()).attempt, 1);
    }),

    t.test("a worker that is killed loses no job, SIGTERM costs no attempt, a handler that computes keeps its lease", async (t) => {
      const { client, server } = await setUp(t);
      const begin = async (kind, args) => {
        const child = spawn(process.execPath, [fileURLToPath(new URL("process.mjs", import.meta.url)), server.url, kind], { stdio: ["ignore", "pipe", "inherit"] });
        const job = await client.enqueue(kind, args);
        await once(child.stdout, "data");
        return { child, job };
      };
      const handedBack = await begin("endless");
      handedBack.child.kill("SIGTERM");
      assert.deepEqual(await once(handedBack.child, "exit"), [0, null]);
      const { state, attempt, crashes } = await handedBack.job.get();
      assert.deepEqual([state, attempt, crashes], ["available", 0, 0]);
      await handedBack.job.cancel();

      const lost = await begin("endless");
      lost.child.kill("SIGKILL");
      await once(lost.child, "exit");
      // The next worker computes for two leases, without letting its event loop go.
      const busy = await begin("computes");
      assert.equal(await busy.job.wait(), 1);
      assert.equal((await busy.job.get()).crashes, 0);
      busy.child.kill("SIGTERM");
      await once(busy.child, "exit");
      const worker = new Worker({ url: server.url, warn: () => undefined }).job("endless", () => "by another");
      const running = worker.start();
      assert.equal(await lost.job.wait(), "by another");
      assert.equal((await lost.job.get()).crashes, 1);
      worker.stop();
      await running;
    }),
  ]);
});
