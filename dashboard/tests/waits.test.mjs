// What a job waits for, the graph around it, signals, persons, and runs that begin anew from a step or as a fork.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

const page_ = (id, more) => ({ id, kind: "page", queue: "site", args: { n: 1 }, ...more });

test("a job that depends on others names them with their states, and goes on when they have ended", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "page", "site");
  await server.call("POST", "jobs/batch", [page_("a"), page_("b"), page_("last", { depends_on: ["a", { id: "b", on_failure: "run" }] }), page_("after", { depends_on: ["last"] })]);
  await visitor.open("/jobs?q=state:blocked");
  await visitor.listed(2);
  await page.locator("tr[data-id=last] .says", { hasText: "waits for jobs that it depends on" }).waitFor();
  await visitor.open("/jobs/last");
  const why = page.locator(".why");
  await why.getByText("It waits for jobs that it depends on: 0 of 2 have ended.").waitFor();
  await why.locator("li li", { hasText: "a" }).locator(".available").first().waitFor();
  await page.locator(".facts > div", { hasText: "Depends on" }).getByText("however it ends").waitFor();
  // The graph, from left to right: two, this one, one after it.
  const nodes = page.locator(".graph li");
  assert.equal(await nodes.count(), 4);
  const left = async (id) => (await page.locator(".graph li", { has: page.locator(`a[href$="/jobs/${id}"]`) }).boundingBox()).x;
  const [a, b, last, after] = [await left("a"), await left("b"), await left("last"), await left("after")];
  assert.ok(a === b && b < last && last < after, `${[a, b, last, after]}`);
  assert.deepEqual([await page.locator(".graph path.cancel").count(), await page.locator(".graph path.run").count()], [2, 1]);

  const first = await claim(server, "page", "site");
  await first.end({ completed: { output: null } });
  await why.getByText("1 of 2 have ended").waitFor();
  await page.locator(".graph li .completed").waitFor();
  const second = await claim(server, "page", "site");
  await second.end({ failed: { error: { message: "no" } } });
  await page.locator("h1 .available").waitFor();
  await page.locator(".graph li a[href$='/jobs/after']").click();
  await page.locator(".graph li.own a[href$='/jobs/after']").waitFor();
  await page.locator(".why").getByText("0 of 1 have ended").waitFor();
  visitor.isQuiet();
});

test("a dependant of a job that failed is cancelled and says so", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await declare(server, "page", "site");
  await server.call("POST", "jobs/batch", [page_("a"), page_("last", { depends_on: ["a"] })]);
  await visitor.open("/jobs/last");
  await visitor.page.locator("h1 .blocked").waitFor();
  const run = await claim(server, "page", "site");
  await run.end({ failed: { error: { message: "no" } } });
  await visitor.page.getByText("Cancelled: a job that it depends on failed or was cancelled.").waitFor();
  visitor.isQuiet();
});

test("a job that waits for a signal is sent one with a value, and a second one changes nothing", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "page", "site");
  await server.call("POST", "jobs", page_("a"));
  const run = await claim(server, "page", "site");
  await run.end({ waits: { on: "signal:approve", timeout: 86_400 } });
  await visitor.open("/jobs?q=state:blocked");
  await page.locator("tr[data-id=a] .says", { hasText: "waits for signal approve" }).waitFor();
  await visitor.open("/jobs/a");
  await page.locator(".why", { hasText: /It waits for the signal approve until (in|tomorrow)/ }).waitFor();
  await visitor.button("Send signal").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/^Value/).fill('{"approved": ');
  await dialog.locator("#signal-fault:not(:empty)").waitFor();
  assert.ok(await visitor.button("Send", dialog).isDisabled(), "what is no JSON is not sent");
  await dialog.getByLabel(/^Value/).fill('{"approved": true, "by": 12345678901234567890}');
  assert.match(await dialog.getByRole("region", { name: "Over HTTP" }).innerText(), /"by":12345678901234567890.* http.*\/api\/jobs\/a\/signals\/approve/);
  // Somebody else is faster.
  const other = await visitor.tab();
  await other.open("/jobs/a");
  await other.button("Send signal").click();
  await visitor.confirm("Send the signal approve", "Send");
  await visitor.told("The signal approve was sent.");
  await page.locator("h1 .available").waitFor();
  const steps = await server.call("GET", "jobs/a/steps");
  assert.deepEqual(steps.map(({ name, output }) => [name, output?.value.approved]), [["signal:approve", true]]);
  const again = await server.call("POST", "jobs/a/signals/approve", { approved: false });
  assert.equal(again.accepted, false);
  visitor.isQuiet();
});

test("a job out of attempts waits for a person with its error, who retries it", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "page", "site");
  await server.call("POST", "jobs", page_("a", { max_attempts: 1, on_exhausted: "pause" }));
  const run = await claim(server, "page", "site");
  await run.say({ step: { name: "load", output: 1 } });
  await run.end({ waits: { on: "person", error: { message: "the card was refused" } } });
  await visitor.open("/jobs/a");
  await page.locator("h1 .blocked").waitFor();
  await page.locator(".why", { hasText: "waits for somebody to retry or cancel it" }).getByText("the card was refused").waitFor();
  await page.locator(".facts > div", { hasText: "Out of attempts" }).waitFor();
  assert.ok(await visitor.button("Delete").isDisabled());
  await visitor.button("Retry").click();
  await visitor.confirm("Retry this job?", "Retry");
  await page.locator("h1 .available").waitFor();
  visitor.isQuiet();
});

test("a parent waits for its children, which the graph shows beside it", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  for (const kind of ["book", "page"]) await declare(server, kind, "site");
  await server.call("POST", "jobs", { id: "book", kind: "book", queue: "site", args: {} });
  const book = await claim(server, "book", "site");
  await server.call("POST", "jobs/batch", Array.from({ length: 30 }, (_, n) => page_(`p${n}`, { parent: "book" })));
  await book.end({ waits: { on: "children" } });
  await visitor.open("/jobs/book");
  await page.locator(".why", { hasText: "It waits for its children: 0 of 30 have ended." }).waitFor();
  await page.getByRole("heading", { name: "Children" }).waitFor();
  // The graph has a request of its own: its nodes are counted once it is there.
  await page.getByText("31 jobs are connected; the nearest 13 are drawn.").waitFor();
  assert.equal(await page.locator(".graph li").count(), 13, "twelve of them, and the parent");
  const run = await claim(server, "page", "site");
  await run.end({ completed: { output: null } });
  await page.locator(".why", { hasText: "1 of 30 have ended" }).waitFor();
  visitor.isQuiet();
});

test("a failed job runs again from a step, or as a fork that says of what", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const names = async (id) => (await server.call("GET", `jobs/${id}/steps`)).map(({ name }) => name);
  await declare(server, "page", "site");
  await server.call("POST", "jobs", page_("a", { max_attempts: 1 }));
  const run = await claim(server, "page", "site");
  for (const name of ["load", "draw", "print"]) await run.say({ step: { name, output: name } });
  await run.end({ failed: { error: { message: "no paper" } } });
  await visitor.open("/jobs/a");
  await page.locator("h1 .failed").waitFor();

  await visitor.button("Run again from print").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("radio", { name: /as a fork/ }).check();
  await dialog.getByLabel("Args").fill('{"n": 2}');
  assert.match(await dialog.getByRole("region", { name: "Over HTTP" }).innerText(), /\{"from_step":"print","args":\{"n":2\}\}.*\/api\/jobs\/a\/fork/);
  await visitor.confirm("Run again from print", "Fork");
  await page.locator("h1 .available").waitFor();
  const fork = page.url().split("/").at(-1);
  assert.notEqual(fork, "a");
  const made = await server.call("GET", `jobs/${fork}`);
  assert.deepEqual([made.forked_from, made.args, await names(fork)], ["a", { n: 2 }, ["load", "draw"]]);
  await page.locator(".facts > div", { hasText: "Forked from" }).getByRole("link", { name: "a", exact: true }).click();

  await page.locator("h1 .failed").waitFor();
  await visitor.button("Run again from draw").click();
  await visitor.confirm("Run again from draw", "Run again");
  await page.locator("h1 .available").waitFor();
  assert.deepEqual(await names("a"), ["load"]);
  assert.deepEqual((await server.call("GET", "jobs/a")).args, { n: 1 });

  await page.keyboard.press("f");
  await visitor.confirm("Fork this job", "Fork");
  await page.waitForURL((url) => !url.pathname.endsWith("/a"));
  await page.locator(".facts > div", { hasText: "Forked from" }).waitFor();
  assert.deepEqual(await names(page.url().split("/").at(-1)), ["load"]);
  visitor.isQuiet();
});
