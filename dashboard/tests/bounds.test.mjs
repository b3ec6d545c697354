// What ends or refuses a job: its times, full queues and keys, unique keys, and why it was cancelled.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

test("a job tells until when it must begin and end, and why it was cancelled, in the list too", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const fact = (name, words) => page.locator(".facts > div", { hasText: name }).filter({ hasText: words }).waitFor();
  await declare(server, "mail", "post");
  await server.call("POST", "jobs", { id: "both", kind: "mail", queue: "post", args: {}, expires_in: 10 * 86_400, deadline: 20 * 86_400 });
  await visitor.open("/jobs/both");
  // In days, which are true for hours.
  await fact("Expires", /in 10 ?d/);
  await fact("Deadline", /in 20 ?d/);
  await page.locator(".why", { hasText: /It is cancelled unless it is started in/ }).waitFor();
  const run = await claim(server, "mail", "post");
  await page.locator("h1 .running").waitFor();
  await page.getByText("Expires").waitFor({ state: "detached" });
  await run.end({ snoozed: { delay: 3_600 } });
  await page.locator(".why", { hasText: /Its deadline is/ }).waitFor();
  await visitor.button("Cancel").click();
  await visitor.confirm("Cancel this job?", "Cancel");
  await page.getByText("Cancelled: somebody asked for it.").waitFor();

  // The sweep cancels it as soon as its time is over.
  await server.call("POST", "jobs", { id: "late", kind: "mail", queue: "post", args: {}, expires_in: 0.001 });
  await visitor.open("/jobs/late");
  await page.getByText("Cancelled: it was not started in time.").waitFor();
  await page.locator(".timeline", { hasText: "Cancelled: it was not started in time" }).waitFor();
  await fact("Expired", /ago|now/);

  await server.call("POST", "jobs", { id: "old", kind: "mail", queue: "post", args: {}, unique: { key: "inbox" } });
  await server.call("POST", "jobs", { id: "new", kind: "mail", queue: "post", args: {}, unique: { key: "inbox", on_clash: "supersede" } });
  await visitor.open("/jobs?q=state:cancelled");
  await visitor.listed(3);
  for (const [id, words] of [["both", "somebody asked for it"], ["late", "it was not started in time"], ["old", "a newer job took its unique key"]]) {
    await page.locator(`tr[data-id=${id}] .says`, { hasText: words }).waitFor();
  }
  visitor.isQuiet();
});

test("a running job whose place another takes says why it is asked to stop", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await declare(server, "mail", "post");
  await server.call("POST", "jobs", { id: "old", kind: "mail", queue: "post", args: {}, unique: { key: "inbox" } });
  const run = await claim(server, "mail", "post");
  await visitor.open("/jobs/old");
  await visitor.page.locator("h1 .running").waitFor();
  await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, unique: { key: "inbox", on_clash: "supersede" } });
  await visitor.page.getByText("Asked to stop: a newer job took its unique key.").waitFor();
  await run.end({ cancelled: { reason: "stopped" } });
  await visitor.page.getByText("Cancelled: a newer job took its unique key.").waitFor();
  visitor.isQuiet();
});

test("a queue tells how full it is, and what becomes of one more is set and comes true", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const mail = (id, more) => ({ id, kind: "mail", queue: "post", args: {}, ...more });
  await server.call("POST", "jobs/batch", [mail("a"), mail("b", { delay: 3_600 })]);
  await visitor.open("/queues");
  const row = page.getByRole("row", { name: /^post/ });
  await row.getByText("any number may wait").waitFor();
  await visitor.button("Change how many of post may wait").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("2 wait now").waitFor();
  await dialog.getByLabel(/^The most that wait/).fill("3");
  assert.match(await dialog.getByRole("region", { name: "In a terminal" }).innerText(), /longhaul queues set post --max-waiting 3 --on-full reject/);
  await visitor.confirm("How many jobs of post may wait", "Let so many wait");
  await row.getByText("2 of 3 wait").waitFor();
  assert.equal(await row.getByText("full", { exact: true }).count(), 0);
  await server.call("POST", "jobs", mail("c"));
  await row.getByText("3 of 3 wait").waitFor();
  await row.getByText("full", { exact: true }).waitFor();
  assert.equal(await row.getByRole("meter").getAttribute("value"), "3");

  await visitor.button("Change how many of post may wait").click();
  await dialog.getByLabel("One more …").selectOption("drop_oldest");
  await visitor.confirm("How many jobs of post may wait", "Let so many wait");
  await row.getByText("is enqueued, and the oldest that waits is cancelled").waitFor();
  await server.call("POST", "jobs", mail("d"));
  const oldest = await server.call("GET", "jobs/a");
  assert.deepEqual([oldest.state, oldest.cancel_reason], ["cancelled", "dropped"]);
  await visitor.open("/jobs/a");
  await page.getByText("Cancelled: too many jobs were waiting.").waitFor();

  await visitor.open("/queues");
  await visitor.button("Change how many of post may wait").click();
  await dialog.getByLabel(/^The most that wait/).fill("");
  await visitor.confirm("How many jobs of post may wait", "Let so many wait");
  await row.getByText("any number may wait").waitFor();
  assert.equal((await server.call("GET", "queues/post")).config.max_waiting, null);
  visitor.isQuiet();
});

test("a key's bound on what waits is set beside its other limits, which stay", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await server.call("PUT", "keys/tenant:*", { max_waiting: 5, on_full: "drop_newest" });
  await server.call("PUT", "keys/gpu", { slots: 2, max_waiting: 7, on_full: "drop_oldest" });
  await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, limit_keys: ["tenant:7"] });
  await visitor.open("/queues");
  await page.getByRole("row", { name: /^tenant:\*/ }).getByText("at most 5 each, scheduled ones too: one more is enqueued and cancelled at once").waitFor();
  const row = page.getByRole("row", { name: /^tenant:7/ });
  await row.getByText("at most 5, scheduled ones too").waitFor();
  await row.getByText("limits of its prefix").waitFor();
  await visitor.button("Limits of gpu").click();
  const dialog = page.getByRole("dialog");
  assert.equal(await dialog.getByLabel(/^The most that wait/).inputValue(), "7");
  assert.equal(await dialog.getByLabel("One more …").inputValue(), "drop_oldest");
  await dialog.getByLabel(/^Slots/).fill("3");
  assert.match(await dialog.getByRole("region", { name: "In a terminal" }).innerText(), /longhaul keys set gpu --slots 3 --max-waiting 7 --on-full drop-oldest/);
  await visitor.confirm("Limits of gpu", "Set these limits");
  await page.getByRole("row", { name: /^gpu/ }).getByText("0 of 3").waitFor();
  const { slots, max_waiting, on_full } = await server.call("GET", "keys/gpu");
  assert.deepEqual([slots, max_waiting, on_full], [3, 7, "drop_oldest"]);
  visitor.isQuiet();
});

test("a schedule tells its unique key and times, and a run by hand says where it was refused or merged", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const job = { kind: "report", args: {}, queue: "reports", expires_in: 7_200, deadline: 86_400, unique: { key: "nightly", on_clash: "join", states: ["running", "available"] } };
  // On a 29 February: neither is to fire by itself while the test runs.
  await server.call("PUT", "schedules/nightly", { cron: "0 3 29 2 *", timezone: "Europe/Berlin", job });
  await server.call("PUT", "schedules/leap", { cron: "0 4 29 2 *", timezone: "Europe/Berlin", job: { kind: "report", args: {}, queue: "reports" } });
  await visitor.open("/schedules");
  const row = page.getByRole("row", { name: /^nightly/ });
  await row.getByText(/unique by .*nightly: join, another joins it \(while (running, available|available, running)\)/).waitFor();
  await row.getByText("expires in 2 hours").waitFor();
  await row.getByText("deadline 1 day after its tick").waitFor();
  const run = async (name) => {
    await visitor.button(`Run now ${name}`).click();
    await page.getByRole("dialog").locator("button[type=submit]").click();
  };
  await run("nightly");
  await visitor.told("The job of nightly is enqueued.");
  await run("nightly");
  await visitor.told(/Nothing was enqueued: job .* holds its unique key/);
  await server.call("PATCH", "queues/reports", { max_waiting: 1 });
  await run("leap");
  const trouble = page.getByRole("dialog").getByRole("alert");
  await trouble.getByText(/as many jobs wait in queue reports as may; nothing was created; try again in \d/).waitFor();
  await visitor.button("Leave it", page.getByRole("dialog")).click();
  await server.call("PATCH", "queues/reports", { on_full: "drop_newest" });
  await run("leap");
  await visitor.told(/was enqueued and cancelled at once: too many jobs were waiting/);
  assert.deepEqual(visitor.complaints.filter((text) => !text.includes("429")), []);
});

test("a queue tells the slots and the rate that its jobs take, and both are set and taken away", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "mail", "post");
  await server.call("POST", "jobs/batch", ["a", "b"].map((id) => ({ id, kind: "mail", queue: "post", args: {} })));
  await visitor.open("/queues");
  const row = page.getByRole("row", { name: /^post/ });
  await row.getByText("as many run as workers have slots").waitFor();
  await visitor.button("Change how many of post run").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/^Slots/).fill("1");
  await dialog.getByLabel(/^Rate/).fill("600");
  await dialog.getByLabel(/^… in so many/).fill("60");
  assert.match(await dialog.getByRole("region", { name: "In a terminal" }).innerText(), /longhaul queues set post --slots 1 --rate 600\/60s/);
  await visitor.confirm("Limits of the queue post", "Set these limits");
  await row.getByText("0 of 1 slots taken; 600 start in 1 min, 60 of 60 may now").waitFor();
  const run = await claim(server, "mail", "post");
  await row.getByText("1 of 1 slots taken").waitFor();
  assert.equal(await row.getByRole("meter").getAttribute("value"), "1");
  await visitor.open("/jobs/b");
  await page.locator(".why", { hasText: "The queue post has too few free slots: 1 of 1 are taken." }).waitFor();
  await run.end({ completed: { output: null } });

  await visitor.open("/queues");
  await visitor.button("Change how many of post run").click();
  for (const label of [/^Slots/, /^Rate/, /^… in so many/, /^Burst/]) await dialog.getByLabel(label).fill("");
  assert.match(await dialog.getByRole("region", { name: "In a terminal" }).innerText(), /longhaul queues set post --slots none --rate none/);
  await visitor.confirm("Limits of the queue post", "Set these limits");
  await row.getByText("as many run as workers have slots").waitFor();
  visitor.isQuiet();
});

test("a job tells the workers that it prefers, and that none of them is there", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "mail", "post");
  await server.call("POST", "jobs", { id: "picky", kind: "mail", queue: "post", args: {}, prefer: { gpu: "a100" }, prefer_hard: true });
  await visitor.open("/jobs/picky");
  await page.locator(".facts > div", { hasText: "Workers that may run it" }).getByText("gpu=a100").waitFor();
  // A worker is there for a minute from when it was heard, of which the page may have taken much.
  await declare(server, "mail", "post");
  await page.locator(".why", { hasText: /No worker that knows its kind has the labels that it must have: gpu=a100/ }).waitFor();
  const worker = { id: "w-gpu", queues: [{ queue: "post", slots: 1 }], labels: { gpu: "a100" } };
  assert.equal((await claim(server, "mail", "post", { worker })).id, "picky");
  await page.locator("h1 .running").waitFor();
  await visitor.open("/workers");
  await page.getByText("gpu=a100").waitFor();
  visitor.isQuiet();
});
