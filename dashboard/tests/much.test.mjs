// Jobs that say much: what stands in the document is bounded, the end is in view, and no digit is lost unseen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

test("of a long stream and a long log the newest is shown and in view, and values stand in lines of their own", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server, { width: 360 });
  const { page } = visitor;
  await declare(server, "story", "text");
  const { id } = await server.call("POST", "jobs", { kind: "story", queue: "text", args: {} });
  const run = await claim(server, "story", "text");
  for (let n = 0; n < 5; n++) await run.say({ chunk: { data: `part ${n} ${"x".repeat(60_000)}` } });
  await run.say({ chunk: { data: { token: 1 } } });
  await run.say({ chunk: { data: ["two", 12] } });
  for (let n = 0; n < 600; n++) await run.say({ log: { level: "info", message: `line ${n}` } });
  await visitor.open(`/jobs/${id}`);
  await page.getByText("The last 500 lines are shown.").waitFor();
  await page.getByText(/The last 200,000 of 300,\d{3} letters are shown/).waitFor();
  const stream = page.locator("pre.stream");
  const text = await stream.innerText();
  assert.ok(text.length <= 200_000 && text.endsWith('x\n{"token":1}\n["two",12]\n'), text.slice(-60));
  assert.equal(await page.locator(".log li").count(), 500);
  const log = page.locator(".log");
  await log.getByText("line 599").waitFor({ state: "attached" });
  const isAtEnd = (box) => box.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 24);
  assert.ok(await isAtEnd(stream), "the end of the stream is in view");
  assert.ok(await isAtEnd(log), "the end of the log is in view");
  // Who reads what came before is not taken away from it.
  await log.evaluate((box) => (box.scrollTop = 40));
  // Two frames later the page has heard of it.
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  await run.say({ log: { level: "warn", message: "the newest" } });
  await log.getByText("the newest").waitFor({ state: "attached" });
  assert.ok(!(await isAtEnd(log)), "the log stays where it was scrolled to");
  visitor.isQuiet();
});

test("large args are edited without a command that no shell would take", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server, { width: 360 });
  const { page } = visitor;
  const args = { rows: Array.from({ length: 5_000 }, (_, n) => `row ${n}`) };
  const { id } = await server.call("POST", "jobs", { kind: "large", queue: "post", args });
  await server.call("POST", `jobs/${id}/cancel`);
  await visitor.open(`/jobs/${id}`);
  await visitor.button("Edit and run again").click();
  const dialog = page.getByRole("dialog");
  assert.match(await dialog.getByRole("region", { name: "Over HTTP" }).innerText(), /--json '?@body\.json/);
  // Not typed: the browser takes minutes to type so many lines.
  await page.getByRole("textbox", { name: "Args" }).evaluate((box) => {
    box.value = box.value.replace("row 4999", "the last");
    box.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await visitor.confirm("Edit its args and run it again", "Run again");
  await page.locator("h1 .available").waitFor();
  const { args: kept } = await server.call("GET", `jobs/${id}`);
  assert.deepEqual([kept.rows.length, kept.rows.at(-1)], [5_000, "the last"]);
  visitor.isQuiet();
});

test("a browser that cannot tell the digits of large integers says so", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  // Older browsers tell a reviver no source.
  await page.addInitScript(() => {
    const { parse } = JSON;
    JSON.parse = (text, reviver) => parse(text, reviver && ((key, value) => reviver(key, value)));
  });
  const job = (args) => server.call("POST", "jobs", `{"kind":"k","queue":"post","args":${args}}`);
  const [large, small] = [await job("12345678901234567890"), await job("123456789")];
  await server.call("POST", `jobs/${large.id}/cancel`);
  await visitor.open(`/jobs/${large.id}`);
  await page.getByText(/too old to show integers/).waitFor();
  await visitor.button("Edit and run again").click();
  await page.getByRole("dialog").getByText(/too old to show integers/).waitFor();
  await visitor.open(`/jobs/${small.id}`);
  await page.getByRole("region", { name: "Args" }).filter({ hasText: "123456789" }).waitFor();
  assert.equal(await page.getByText(/too old to show integers/).count(), 0);
  visitor.isQuiet();
});

test("a text is copied on a page that came over plain HTTP, also from a dialog", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  const { id } = await server.call("POST", "jobs", { kind: "k", queue: "post", args: { text: "to be copied" } });
  await visitor.open(`/jobs/${id}`);
  await page.evaluate(() => document.addEventListener("copy", () => (globalThis.copied = document.activeElement.value)));
  await visitor.button("Copy args").click();
  assert.match(await page.evaluate(() => globalThis.copied), /"text": "to be copied"/);
  await visitor.button("Cancel").click();
  await visitor.button("Copy: Over HTTP", page.getByRole("dialog")).click();
  assert.match(await page.evaluate(() => globalThis.copied), /^curl -X POST .*\/cancel/);
  assert.equal(await page.locator("textarea").count(), 0);
  visitor.isQuiet();
});

test("on a narrow screen the name of the page that is shown is in view", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server, { width: 360 });
  for (const [path, name] of [["/batches", "Batches"], ["/", "Overview"]]) {
    await visitor.open(path);
    const link = visitor.page.getByRole("link", { name, exact: true });
    await visitor.page.getByRole("heading", { name, level: 1 }).waitFor();
    const { x, width } = await link.boundingBox();
    assert.ok(x >= 0 && x + width <= 360, `${name} is at ${x}`);
  }
  visitor.isQuiet();
});
