// Limit keys: their table, their limits and pauses, fair queues, and the jobs that wait for them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

test("a key is bounded by itself or by its prefix, paused and resumed", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await visitor.open("/queues");
  await page.getByText("No limit key has limits").waitFor();
  await server.call("POST", "jobs/batch", [1, 2, 3].map((n) => ({ kind: "mail", queue: "post", args: { n }, limit_keys: ["tenant:7", "provider"] })));
  const row = page.getByRole("row", { name: /^tenant:7/ });
  await row.getByText("no limits").waitFor();

  await visitor.button("Set limits of another key").click();
  await page.getByLabel("Key, or the beginning").fill("tenant:*");
  await page.getByLabel(/^Slots/).fill("1");
  await visitor.confirm("Limits of a key", "Set these limits");
  await row.getByText("0 of 1").waitFor();
  await row.getByText("limits of its prefix").waitFor();
  await page.getByRole("row", { name: /^tenant:\*/ }).getByText("1 each").waitFor();

  await visitor.button("Limits of tenant:7").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("those of its prefix").waitFor();
  assert.equal(await dialog.getByLabel(/^Slots/).inputValue(), "1");
  await dialog.getByLabel(/^Slots/).fill("2");
  await dialog.getByLabel(/^Rate/).fill("60");
  await visitor.button("Set these limits", dialog).click();
  assert.equal(await dialog.getByLabel("in so many seconds").evaluate((field) => field.validity.valueMissing), true, "a rate is of a time");
  await dialog.getByLabel("in so many seconds").fill("60");
  assert.match(await dialog.getByRole("region", { name: "In a terminal" }).innerText(), /longhaul keys set tenant:7 --slots 2 --rate 60\/60s/);
  await visitor.confirm("Limits of tenant:7", "Set these limits");
  await row.getByText("limits of its own").waitFor();
  await row.getByText("60 in 1 minute, 6 at once").waitFor();
  const { slots, rate } = await server.call("GET", "keys/tenant:7");
  assert.deepEqual([slots, rate], [2, { n: 60, per: 60, burst: 6 }]);

  await declare(server, "mail", "post");
  const runs = [await claim(server, "mail", "post"), await claim(server, "mail", "post")];
  await row.getByText("2 of 2").waitFor();
  await row.getByText("when a slot is free").waitFor();
  assert.equal(await row.getByRole("meter").getAttribute("value"), "2");
  assert.equal(await claim(server, "mail", "post"), undefined);
  for (const run of runs) await run.end({ completed: { output: null } });
  await row.getByText("0 of 2").waitFor();

  await visitor.button("Pause key provider").click();
  await visitor.confirm("Pause the limit key provider?", "Pause");
  const provider = page.getByRole("row", { name: /^provider/ });
  await provider.getByText("paused", { exact: true }).waitFor();
  assert.equal(await claim(server, "mail", "post"), undefined, "nothing of a paused key is taken");
  await visitor.button("Resume key provider").click();
  await visitor.confirm("Resume the limit key provider?", "Resume");
  await provider.getByText("open", { exact: true }).waitFor();
  await visitor.button("Pause key provider").click();
  // Ten days, which are true for hours.
  await page.getByLabel("Minutes").fill("14400");
  await visitor.confirm("Pause the limit key provider?", "Pause");
  await provider.getByText(/paused, opens in 10 ?d/).waitFor();
  await visitor.button("Resume key provider").click();
  await visitor.confirm("Resume the limit key provider?", "Resume");
  await provider.getByText("open", { exact: true }).waitFor();
  assert.notEqual(await claim(server, "mail", "post"), undefined);

  await visitor.button("Take away the limits of tenant:7").click();
  await visitor.confirm("Take the limits of tenant:7 away?", "Take away");
  await row.getByText("limits of its prefix").waitFor();
  visitor.isQuiet();
});

test("a key tells why it keeps its jobs back, and until when", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const row = (key) => page.getByRole("row", { name: new RegExp(`^${key}`) });
  await declare(server, "mail", "post");
  await server.call("PUT", "keys/gpu", { slots: 1 });
  await server.call("PUT", "keys/tenant:7", { slots: 9 });
  // One start in ten days, which are true for hours.
  await server.call("PUT", "keys/tokens", { rate: { n: 1, per: 10 * 86_400, burst: 1 } });
  await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, limit_keys: ["gpu", "tenant:7", "tokens"] });
  await visitor.open("/queues");
  for (const key of ["gpu", "tenant:7", "tokens"]) await row(key).getByText("open", { exact: true }).waitFor();
  assert.notEqual(await claim(server, "mail", "post"), undefined);
  await row("gpu").getByText("when a slot is free: all are taken").waitFor();
  await row("tokens").getByText(/next start in 10 ?d.*: its rate is used up/).waitFor();
  assert.equal(await row("tenant:7").getByText("open", { exact: true }).count(), 1, "it has slots left");
  await server.call("POST", "keys/gpu/pause", {});
  await row("gpu").getByText("paused", { exact: true }).waitFor();
  assert.equal(await row("gpu").getByText("all are taken").count(), 0, "its pause is told first");
  visitor.isQuiet();
});

test("keys are found by their beginning and by the queue in which their jobs wait, page by page", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const keys = (count) => page.waitForFunction((count) => document.querySelectorAll(".limit-keys tbody tr").length === count, count);
  await server.call("POST", "jobs/batch", Array.from({ length: 120 }, (_, n) => ({ kind: "mail", queue: n < 3 ? "few" : "many", args: {}, limit_keys: [`tenant:${1_000 + n}`] })));
  await visitor.open("/queues");
  await keys(100);
  await visitor.button("Next").click();
  await keys(20);
  await visitor.button("First").click();
  await keys(100);
  await page.getByLabel("Keys of which jobs wait in").selectOption("few");
  await keys(3);
  await page.getByLabel("Keys that begin with").fill("tenant:1002");
  await visitor.button("Find").click();
  await keys(1);
  await page.getByRole("link", { name: "tenant:1002", exact: true }).click();
  await visitor.listed(1);
  visitor.isQuiet();
});

test("a queue lets its limit keys take turns", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {} });
  await visitor.open("/queues");
  const row = visitor.page.getByRole("row", { name: /^post/ });
  await row.getByText("goes by priority and age").waitFor();
  await visitor.button("Change the order of post").click();
  await visitor.confirm("Let the limit keys of post take turns?", "Take turns");
  await row.getByText("its limit keys take turns").waitFor();
  assert.equal((await server.call("GET", "queues/post")).config.fair, true);
  await visitor.button("Change the order of post").click();
  await visitor.confirm("Let all jobs of post go by priority and age?", "By priority and age");
  await row.getByText("goes by priority and age").waitFor();
  visitor.isQuiet();
});

test("a job says what it costs, and which limit key it waits for until when", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const why = (words) => page.locator(".why", { hasText: words }).waitFor();
  await server.call("PUT", "keys/gpu", { slots: 3 });
  // One start in two days, which are true for hours.
  await server.call("PUT", "keys/tokens", { rate: { n: 10, per: 20 * 86_400, burst: 10 } });
  await declare(server, "train", "gpus");
  await server.call("POST", "jobs", { kind: "train", queue: "gpus", args: {}, limit_keys: ["gpu", "tokens"], cost: { slots: 2, rate: 10 } });
  const run = await claim(server, "train", "gpus");
  await server.call("POST", "jobs", { id: "b", kind: "train", queue: "gpus", args: {}, limit_keys: ["gpu"], cost: { slots: 2 } });
  await server.call("POST", "jobs", { id: "c", kind: "train", queue: "gpus", args: {}, limit_keys: ["tokens", "tenant:7"] });
  await visitor.open("/jobs/b");
  await why("Its limit key gpu has too few free slots: 2 of 3 are taken, and it takes 2.");
  await page.locator(".facts", { hasText: "2 slots, 1 of the rate" }).waitFor();
  await run.end({ completed: { output: null } });
  await page.getByText("too few free slots").waitFor({ state: "detached" });
  await visitor.open("/jobs/c");
  await why(/The rate of its limit key tokens lets it start in 2 ?d/);
  assert.equal(await page.locator(".facts", { hasText: "Cost" }).count(), 0);
  await server.call("POST", "keys/tokens/pause", {});
  await why("Its limit key tokens is paused until it is resumed.");
  await page.getByRole("link", { name: "tenant:7", exact: true }).click();
  await visitor.listed(1);
  visitor.isQuiet();
});
