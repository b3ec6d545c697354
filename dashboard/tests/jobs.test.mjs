// The list of jobs: search, selection, and actions on many.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

/** 60 jobs of two kinds in three queues, with labels and args to find them by. */
const SIXTY = Array.from({ length: 60 }, (_, n) => ({ kind: n % 2 ? "resize" : "mail", queue: `q${n % 3}`, args: { n, user: { id: n % 6 } }, labels: { tenant: String(n % 4) }, key: `tenant:${n % 4}` }));

test("jobs are found by each qualifier, and the address carries the search", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await declare(server, "mail", "q0");
  const answers = await server.call("POST", "jobs/batch", SIXTY);
  const run = await claim(server, "mail", "q0");
  await run.end({ failed: { error: { message: "mailbox 17 is full" } } });
  const child = { kind: "mail", queue: "children", args: {}, parent: answers[3].id };
  await server.call("POST", "jobs", child);
  await visitor.open("/jobs");
  await visitor.page.getByText("61 jobs listed").waitFor();
  await visitor.search("kind:resize queue:q1", 10);
  assert.match(visitor.page.url(), /q=kind%3Aresize\+queue%3Aq1/);
  await visitor.search("state:failed", 1);
  await visitor.search("label.tenant:3 kind:resize", 15);
  await visitor.search(`id:${answers[7].id}`, 1);
  await visitor.search(`parent:${answers[3].id}`, 1);
  await visitor.search("key:tenant:2", 15);
  await visitor.search("args.user.id:5", 10);
  await visitor.search("args.n:17", 1);
  await visitor.search('error:"mailbox"', 1);
  await visitor.search('"mailbox 17 is full"', 1);
  await visitor.search("queue:q2 -kind:mail", 10);
  await visitor.search("nothing-has-this-word", 0);
  await visitor.page.getByText("No job matches").waitFor();
  await visitor.page.getByText("61 searched").waitFor();
  // The address alone brings the search back.
  await visitor.open("/jobs?q=queue%3Aq2");
  await visitor.listed(20);
  assert.equal(await visitor.page.getByRole("combobox").inputValue(), "queue:q2");
  visitor.isQuiet();
});

test("the search box completes qualifiers and their values", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await server.call("POST", "jobs/batch", SIXTY);
  await visitor.open("/jobs");
  await visitor.page.getByText("60 jobs listed").waitFor();
  await visitor.page.keyboard.press("/");
  await visitor.page.keyboard.type("sta");
  await visitor.page.getByRole("option", { name: /^state:/ }).waitFor();
  await visitor.page.keyboard.press("ArrowDown");
  await visitor.page.keyboard.press("Enter");
  await visitor.page.keyboard.type("avail");
  await visitor.page.keyboard.press("ArrowDown");
  await visitor.page.keyboard.press("Tab");
  await visitor.page.keyboard.type("queue:q1");
  await visitor.page.keyboard.press("Enter");
  await visitor.listed(20);
  assert.match(visitor.page.url(), /q=state%3Aavailable\+queue%3Aq1/);
  visitor.isQuiet();
});

test("some jobs, and all that match, are counted, cancelled, given a priority, retried and deleted", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await server.call("POST", "jobs/batch", SIXTY);
  await visitor.open("/jobs?q=queue:q0");
  await visitor.listed(20);

  await visitor.button("Select all that match").click();
  await visitor.button("Set priority").click();
  await page.getByLabel(/Priority/).fill("7");
  const dialog = page.getByRole("dialog");
  assert.match(await dialog.innerText(), /"priority":7/, "the command that does the same is shown");
  await visitor.confirm("Set priority 20 jobs?", "Set priority");
  await visitor.told("20 jobs have the new priority.");

  await visitor.button("Select all that match").click();
  await visitor.button("Cancel").click();
  await dialog.getByRole("heading", { name: "Cancel 20 jobs?" }).waitFor();
  assert.match(await dialog.innerText(), /longhaul jobs cancel queue:q0/);
  await visitor.confirm("Cancel 20 jobs?", "Cancel");
  await visitor.told("20 jobs cancelled.");
  await visitor.search("state:cancelled", 20);

  await page.locator("tr[data-id] >> nth=0").getByRole("checkbox").check();
  await page.locator("tr[data-id] >> nth=1").getByRole("checkbox").check();
  await page.getByText("2 jobs selected").waitFor();
  await visitor.button("Delete").click();
  await visitor.confirm("Delete 2 jobs?", "Delete");
  await visitor.told("2 jobs deleted.");
  await visitor.listed(18);

  // By keyboard: two rows down, one of them selected, the other opened.
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.getByText("1 job selected").waitFor();
  await page.keyboard.press("k");
  const opened = await page.locator("tr.at").getAttribute("data-id");
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`/jobs/${opened}$`));
  await page.goBack();

  await visitor.listed(18);
  await visitor.button("Select all that match").click();
  await visitor.button("Retry").click();
  await visitor.confirm("Retry 18 jobs?", "Retry");
  await visitor.told("18 jobs run again.");
  await visitor.search("queue:q0 state:available", 18);
  assert.equal((await server.call("GET", "jobs?queue=q0&limit=1")).jobs[0].priority, 7);
  visitor.isQuiet();
});

test("more jobs than one request changes are given a priority, those that have it already beside them", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await server.call("POST", "jobs/batch", Array.from({ length: 2_500 }, (_, n) => ({ kind: "mail", queue: "post", args: {}, priority: n % 5 === 0 ? 7 : 0 })));
  await visitor.open("/jobs");
  await visitor.button("Select all that match").click();
  await visitor.button("Set priority").click();
  await visitor.page.getByLabel(/Priority/).fill("7");
  await visitor.confirm("Set priority 2,000 jobs?", "Set priority");
  await visitor.told("2,000 jobs have the new priority.");
  visitor.isQuiet();
});

test("a list follows jobs as they come and change, in two tabs", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const other = await visitor.tab();
  await declare(server, "mail", "post");
  for (const tab of [visitor, other]) {
    await tab.open("/jobs");
    await tab.page.getByText("No jobs yet").waitFor();
  }
  await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {} });
  for (const tab of [visitor, other]) await tab.page.locator("tr .state.available").waitFor();
  const run = await claim(server, "mail", "post");
  for (const tab of [visitor, other]) await tab.page.locator("tr .state.running").waitFor();
  await run.end({ completed: { output: null } });
  for (const tab of [visitor, other]) {
    await tab.page.locator("tr .state.completed").waitFor();
    await tab.page.getByRole("link", { name: "completed 1", exact: true }).waitFor();
    tab.isQuiet();
  }
});
