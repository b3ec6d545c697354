// Queues, errors, batches, workers, and the live numbers of the overview.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

test("a queue is paused and resumed, and its history is bounded", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const other = await visitor.tab();
  const { page } = visitor;
  await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {} });
  for (const tab of [visitor, other]) await tab.open("/queues");
  await visitor.button("Pause post").click();
  await visitor.confirm("Pause the queue post?", "Pause");
  for (const tab of [visitor, other]) await tab.page.getByRole("row", { name: /^post/ }).getByText("paused").waitFor();
  await declare(server, "mail", "post");
  assert.equal(await claim(server, "mail", "post"), undefined, "nothing of a paused queue is taken");
  await visitor.button("Resume post").click();
  await visitor.confirm("Resume the queue post?", "Resume");
  for (const tab of [visitor, other]) await tab.page.getByText("paused", { exact: true }).waitFor({ state: "detached" });
  assert.notEqual(await claim(server, "mail", "post"), undefined);

  await visitor.button("Change what is kept of post").click();
  await page.getByLabel("Days for which failed jobs are kept").fill("3");
  await page.getByLabel("The most failed jobs that are kept").fill("1000");
  await visitor.confirm("What is kept of post", "Keep this much");
  await visitor.told("What is kept of post was changed.");
  const { config } = await server.call("GET", "queues/post");
  assert.deepEqual(config.retention.failed, { age: 3 * 86_400, count: 1_000 });
  visitor.isQuiet();
});

test("the queues page begins with the queue of the curriculum", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await server.call("POST", "jobs/batch", ["a", "step10", "z"].map((queue) => ({ kind: "mail", queue, args: {} })));
  await visitor.open("/queues");
  await visitor.page.getByRole("row", { name: /^step10/ }).waitFor();
  const names = await visitor.page.locator("table.queues tbody th a").allInnerTexts();
  assert.equal(names[0], "step10");
});

test("failures that differ only in numbers are one group, which is retried as a whole", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "mail", "post");
  await server.call("POST", "jobs/batch", Array.from({ length: 4 }, (_, n) => ({ kind: "mail", queue: "post", args: { n }, max_attempts: 1 })));
  for (let n = 0; n < 4; n++) {
    const run = await claim(server, "mail", "post");
    await run.end({ failed: { error: { message: n < 3 ? `mailbox ${n + 100} is full` : "no such host" } } });
  }
  await visitor.open("/errors");
  const group = page.locator(".groups > li", { hasText: "is full" });
  await group.locator("strong", { hasText: /^3$/ }).waitFor();
  assert.equal(await page.locator(".groups > li").count(), 2);
  await group.getByRole("button", { name: /^Retry all/ }).click();
  await visitor.confirm("Retry 3 jobs?", "Retry");
  await visitor.told("3 jobs run again.");
  const { queues } = await server.call("GET", "queues");
  const { states } = queues.find(({ name }) => name === "post");
  assert.deepEqual([states.failed, states.available], [1, 3]);
  visitor.isQuiet();
});

test("a schedule is seen, run by hand, paused, resumed and deleted", options, async (t) => {
  const server = await serve(t);
  const job = { kind: "report", args: {}, queue: "reports" };
  // On a 29 February: it is not to fire by itself while the test runs.
  await server.call("PUT", "schedules/nightly", { cron: "0 3 29 2 *", timezone: "Europe/Berlin", job });
  const visitor = await visit(t, server);
  const { page } = visitor;
  const row = page.getByRole("row", { name: /^nightly/ });
  const act = async (name, verb) => {
    await visitor.button(name).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(`longhaul schedules ${verb} nightly`, { exact: true }).waitFor();
    await dialog.locator("button[type=submit]").click();
    await dialog.waitFor({ state: "detached" });
  };
  await visitor.open("/schedules");
  await row.getByText("At 03:00, on day 29, in February (Europe/Berlin)").waitFor();
  await act("Run now nightly", "run");
  const { jobs } = await server.call("GET", "jobs?q=label.schedule:nightly");
  assert.deepEqual(jobs.map(({ kind, state }) => [kind, state]), [["report", "available"]]);
  await act("Pause nightly", "pause");
  await row.getByText("paused", { exact: true }).waitFor();
  await act("Resume nightly", "resume");
  await visitor.button("Pause nightly").waitFor();
  await visitor.violations().then((violations) => assert.deepEqual(violations, []));
  await act("Delete nightly", "delete");
  await page.getByText("No schedules yet").waitFor();
  visitor.isQuiet();
});

test("workers, batches and the overview follow what happens", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "page", "site");
  await server.call("POST", "jobs", { kind: "page", queue: "site", args: {} });
  const run = await claim(server, "page", "site");
  await visitor.open("/workers");
  const card = page.locator(".workers > li", { hasText: "tester-page" });
  await card.getByText("1 of 2").waitFor();
  await card.getByRole("link", { name: "page" }).waitFor();
  await visitor.open("/");
  await page.locator(".tile.running strong", { hasText: /^1$/ }).waitFor();
  await run.end({ completed: { output: null } });
  await page.locator(".tile.completed strong", { hasText: /^1$/ }).waitFor();
  await page.locator(".uplot canvas").waitFor();
  await page.getByRole("row", { name: /^site/ }).waitFor();
  visitor.isQuiet();
});

test("a hidden tab asks the server nothing, and is true again as soon as it is seen", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const other = await visitor.tab();
  for (const tab of [visitor, other]) {
    await tab.open("/jobs");
    await tab.page.getByText("No jobs yet").waitFor();
  }
  const hide = (isHidden) =>
    visitor.page.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
  await hide(true);
  // What was under way when the tab was hidden comes to its end.
  await visitor.page.waitForLoadState("networkidle");
  const asked = [];
  visitor.page.on("request", (request) => asked.push(request.url()));
  for (let n = 1; n <= 3; n++) {
    await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {} });
    await other.page.getByText(`${n} job${n === 1 ? "" : "s"} listed`).waitFor();
  }
  assert.deepEqual(asked, []);
  await hide(false);
  await visitor.page.getByText("3 jobs listed").waitFor();
  visitor.isQuiet();
});

test("a batch shows how many of its children have ended, and is found once it has", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  for (const kind of ["book", "page", "bind"]) await declare(server, kind, "site");
  await server.call("POST", "jobs", { kind: "book", queue: "site", args: {} });
  const book = await claim(server, "book", "site");
  const pages = [1, 2].map((n) => ({ kind: "page", queue: "site", args: { n }, parent: "binding" }));
  await book.end({ completed: { output: null } }, [{ id: "binding", kind: "bind", queue: "site", args: {}, after_children: true }, ...pages]);
  await visitor.open("/batches");
  const batch = page.locator(".batch", { hasText: "bind" });
  await batch.getByText("0 completed").waitFor();
  const first = await claim(server, "page", "site");
  await first.end({ completed: { output: null } });
  await batch.getByText("1 completed").waitFor();
  await visitor.open("/jobs/binding");
  await page.locator(".why", { hasText: "It waits for its children: 1 of 2 have ended" }).waitFor();
  await page.getByText("1 of 2 have ended: 1 completed").waitFor();
  const second = await claim(server, "page", "site");
  await second.end({ completed: { output: null } });
  const bind = await claim(server, "bind", "site");
  await bind.end({ completed: { output: null } });
  await page.locator("h1 .completed").waitFor();
  await visitor.open("/batches?show=ended");
  await batch.getByText("2 completed").waitFor();
  visitor.isQuiet();
});
