// The page of a job: what it shows while the job lives, and what may be done.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

test("a job is followed live in two tabs, also over a server that is killed", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const other = await visitor.tab();
  await declare(server, "story", "text");
  // Written by hand: JavaScript has no such number.
  const story = '{"kind":"story","queue":"text","args":{"title":"<img src=x onerror=alert(1)>","number":12345678901234567890}}';
  const { id } = await server.call("POST", "jobs", story);
  const run = await claim(server, "story", "text");
  for (const tab of [visitor, other]) {
    await tab.open(`/jobs/${id}`);
    await tab.page.locator("h1 .running").waitFor();
  }
  await run.say({ progress: { percent: 40, message: "chapter two" } });
  await run.say({ chunk: { data: "Once upon " } });
  await run.say({ log: { level: "warn", message: "the dragon sleeps" } });
  for (const { page } of [visitor, other]) {
    await page.locator("pre.stream", { hasText: "Once upon" }).waitFor();
    await page.locator(".now", { hasText: "chapter two" }).waitFor();
    await page.locator(".log", { hasText: "the dragon sleeps" }).waitFor();
  }
  await server.restart();
  await run.say({ chunk: { data: "a time" } });
  await run.end({ completed: { output: { told: true } } });
  for (const { page } of [visitor, other]) {
    await page.locator("h1 .completed").waitFor();
    await page.locator("pre.stream", { hasText: /^Once upon a time$/ }).waitFor();
    await page.getByRole("region", { name: "Output", exact: true }).filter({ hasText: '"told": true' }).waitFor();
    assert.match(await page.getByRole("region", { name: "Args" }).innerText(), /12345678901234567890/, "integers of any size stay as they are");
    assert.equal(await page.locator("main img").count(), 0, "what a job holds is text");
  }
});

test("attempts, steps and errors with their causes are shown, and a job runs again with other args", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "report", "reports");
  const text = '{"kind":"report","queue":"reports","args":{"year":2025,"big":12345678901234567890},"max_attempts":2}';
  const { id } = await server.call("POST", "jobs", text);
  const first = await claim(server, "report", "reports");
  await first.say({ step: { name: "load orders", output: 7 } });
  await first.end({ retry: { error: { message: 'failed to draw: no answer from "charts: eu": connection refused' }, delay: 0 } });
  const second = await claim(server, "report", "reports", { wait: 10 });
  await second.say({ step: { name: "draw", output: null } });
  await second.say({ log: { level: "info", message: "half of it" } });
  await second.end({ failed: { error: { message: "the disk is full" } } });

  await visitor.open(`/jobs/${id}`);
  await page.locator("h1 .failed").waitFor();
  await page.locator(".waterfall", { hasText: "load orders" }).waitFor();
  assert.equal(await page.locator(".waterfall li").count(), 2);
  const errors = page.locator(".errors li");
  assert.equal(await errors.count(), 2);
  await errors.nth(1).locator("summary").click();
  const causes = await errors.nth(1).locator("pre").allInnerTexts();
  assert.deepEqual(causes, ["failed to draw", 'because no answer from "charts: eu"', "because connection refused"]);
  const moments = await page.locator(".timeline .moment").allInnerTexts();
  assert.deepEqual(moments.map((words) => words.split("\n")[0]), ["Enqueued", "Attempt 1 began", "Attempt 1 failed", "Attempt 2 began", "Failed in attempt 2"]);

  await visitor.button("Edit and run again").click();
  const box = page.getByRole("textbox", { name: "Args" });
  assert.match(await box.inputValue(), /12345678901234567890/);
  await box.fill('{"year": 2026, "big": 12345678901234567890');
  await page.getByRole("dialog").locator("#fault.error").waitFor();
  assert.ok(await visitor.button("Run again", page.getByRole("dialog")).isDisabled(), "what is no JSON is not sent");
  await box.fill('{"year": 2026, "big": 12345678901234567890}');
  await visitor.confirm("Edit its args and run it again", "Run again");
  await page.locator("h1 .available").waitFor();
  const answer = await fetch(`${server.url}/api/jobs/${id}`).then((response) => response.text());
  assert.match(answer, /"year":\s?2026,\s?"big":\s?12345678901234567890/);
  visitor.isQuiet();
});

test("args keep their digits where they are edited, and what is hidden is not sent back as args", options, async (t) => {
  const server = await serve(t, { env: { LONGHAUL_REDACT: "args.password" } });
  const visitor = await visit(t, server);
  const { page } = visitor;
  const job = '{"kind":"login","queue":"post","args":{"password":"hunter2","rate":1.0,"share":1.10,"many":1e3}}';
  const { id } = await server.call("POST", "jobs", job);
  await server.call("POST", `jobs/${id}/cancel`);
  await visitor.open(`/jobs/${id}`);
  await visitor.button("Edit and run again").click();
  const dialog = page.getByRole("dialog");
  const text = await page.getByRole("textbox", { name: "Args" }).inputValue();
  for (const member of [/"rate": 1\.0,/, /"share": 1\.10,/, /"many": 1e3\n/]) assert.match(text, member);
  assert.match(await dialog.locator("#fault.error").innerText(), /stands for a value that is not shown/);
  assert.ok(await visitor.button("Run again", dialog).isDisabled());
  await page.getByRole("textbox", { name: "Args" }).fill(text.replace("[redacted]", "hunter3"));
  assert.match(await dialog.innerText(), /"rate":1\.0,/, "the command that does the same has them, too");
  await visitor.confirm("Edit its args and run it again", "Run again");
  await page.locator("h1 .available").waitFor();
  visitor.isQuiet();
});

test("a waiting job says why it waits, is given a priority, cancelled, retried and deleted", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "mail", "post");
  const { id } = await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, delay: 86_400 });
  await visitor.open(`/jobs/${id}`);
  await page.locator(".why", { hasText: "Its time has not come" }).waitFor();
  await visitor.button("Set priority").click();
  await page.getByLabel(/Priority/).fill("42");
  await visitor.confirm("Set its priority", "Set priority");
  await page.locator(".facts > div", { hasText: "Priority" }).filter({ hasText: "42" }).waitFor();

  await visitor.button("Cancel").click();
  await visitor.confirm("Cancel this job?", "Cancel");
  await page.locator("h1 .cancelled").waitFor();
  await page.keyboard.press("r");
  assert.match(await page.getByRole("dialog").innerText(), new RegExp(`longhaul jobs retry ${id}`));
  await page.keyboard.press("Enter");
  await page.locator("h1 .available").waitFor();
  await server.call("POST", "queues/post/pause");
  await page.locator(".why", { hasText: "is paused" }).waitFor();

  await visitor.button("Cancel").click();
  await visitor.confirm("Cancel this job?", "Cancel");
  await page.locator("h1 .cancelled").waitFor();
  await visitor.button("Delete").click();
  await page.getByRole("dialog").getByRole("button", { name: "Leave it" }).click();
  await visitor.button("Delete").click();
  await visitor.confirm("Delete this job?", "Delete");
  await page.waitForURL(/\/admin\/jobs$/);
  await visitor.told("The job was deleted.");
  visitor.isQuiet();
});

test("a key acts as soon as what it is for is seen", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  const { id } = await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, delay: 86_400 });
  await visitor.open(`/jobs/${id}`);
  await page.locator("h1 .scheduled").waitFor();
  // An observer is told before the browser draws: nobody is faster.
  await page.evaluate(() => {
    const observer = new MutationObserver(() => {
      if (document.querySelector("h1 .cancelled") === null) return;
      observer.disconnect();
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "r", bubbles: true }));
    });
    observer.observe(document.body, { attributes: true, childList: true, characterData: true, subtree: true });
  });
  await server.call("POST", `jobs/${id}/cancel`);
  await page.getByRole("dialog").getByRole("heading", { name: "Retry this job?" }).waitFor();
  visitor.isQuiet();
});

test("a job tells its unique key with its holder, and that it is asked to stop", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  await declare(server, "mail", "post");
  const unique = { key: "digest", on_clash: "follow" };
  const first = await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, unique });
  await claim(server, "mail", "post");
  const { id } = await server.call("POST", "jobs", { kind: "mail", queue: "post", args: {}, unique });
  await visitor.open(`/jobs/${first.id}`);
  const key = visitor.page.locator(".facts > div", { hasText: "Unique key" });
  await key.filter({ hasText: `mail:digest held by ${id}` }).waitFor();
  // Not `jobs/ID/cancel`: after the ten seconds that it gives, the server ends the job and the page no longer says so.
  const action = { action: "cancel", grace: { secs: 600, nanos: 0 } };
  await server.call("POST", "worker/act", { filter: { ids: [first.id], states: [], kinds: [], queues: [], labels: [], text: null }, action, limit: 1 });
  await visitor.page.locator(".timeline", { hasText: "Asked to stop" }).waitFor();
  await visitor.page.locator(".facts a", { hasText: id }).first().click();
  await key.filter({ hasText: "mail:digest held by this job" }).waitFor();
  visitor.isQuiet();
});

test("a job that no worker takes says so", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { id } = await server.call("POST", "jobs", { kind: "nobody-knows", queue: "lost", args: {} });
  await visitor.open(`/jobs/${id}`);
  await visitor.page.locator(".why", { hasText: /No worker/ }).waitFor();
  await visitor.open("/kinds");
  await visitor.page.getByRole("row", { name: /nobody-knows/ }).getByText("no worker takes it").waitFor();
  visitor.isQuiet();
});
