// Each page on a wide and a narrow screen, light and dark: it fits, it is quiet, and axe finds nothing serious.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

const LONG = "x".repeat(120);

/** A server where every page has something to show, long words too. Answers the id of a job that has failed. */
async function busy(t) {
  const server = await serve(t);
  await declare(server, "mail", "post");
  await server.call("POST", "jobs/batch", [
    { kind: "mail", queue: "post", args: { text: LONG }, max_attempts: 1, limit_keys: ["tenant:7", LONG], cost: { slots: 2 }, labels: { tenant: LONG } },
    { kind: LONG.slice(0, 60), queue: LONG.slice(0, 60), args: {} },
    { kind: "mail", queue: "post", args: {}, delay: 3_600 },
    { kind: "mail", queue: "post", args: {} },
    { kind: "page", queue: "post", args: {}, limit_keys: ["tenant:7", `tenant:${LONG}`] },
  ]);
  await server.call("PUT", "keys/tenant:*", { slots: 2, rate: { n: 90_000, per: 60 }, weight: 4, max_waiting: 1_000_000, on_full: "drop_oldest" });
  await server.call("PATCH", "queues/post", { max_waiting: 3 });
  await server.call("POST", "jobs", { id: "gone", kind: "mail", queue: "spare", args: {}, expires_in: 3_600, deadline: 86_400 });
  await server.call("POST", "jobs/gone/cancel");
  const unique = { key: LONG, on_clash: "throttle", period: 60 };
  await server.call("PUT", "schedules/nightly", { cron: "0 3 * * *", timezone: "Europe/Berlin", job: { kind: "mail", queue: "post", args: {}, expires_in: 60, deadline: 3_600, unique } });
  await server.call("PUT", `keys/${LONG}`, { slots: 1_000_000 });
  const run = await claim(server, "mail", "post");
  await run.say({ step: { name: LONG, output: 1 } });
  await run.say({ log: { level: "warn", message: LONG } });
  await run.say({ chunk: { data: LONG } });
  await run.end({ failed: { error: { message: `mailbox is full: ${LONG}` } } });
  const second = await claim(server, "mail", "post");
  await second.say({ progress: { percent: 50, message: LONG } });
  await server.call("POST", "jobs/batch", [...Array.from({ length: 14 }, (_, n) => ({ id: `part-${n}`, kind: LONG.slice(0, 60), queue: "spare", args: {} })), { id: "whole", kind: "mail", queue: "spare", args: {}, depends_on: Array.from({ length: 14 }, (_, n) => `part-${n}`) }]);
  await declare(server, "ask", "asked");
  await server.call("POST", "jobs", { id: "asks", kind: "ask", queue: "asked", args: {}, depends_on: [] });
  const asks = await claim(server, "ask", "asked");
  await asks.say({ step: { name: LONG, output: 1 } });
  await asks.end({ waits: { on: `signal:${LONG}` } });
  return { server, id: run.id, running: second.id };
}

for (const [width, colorScheme] of [[1440, "light"], [1440, "dark"], [360, "light"], [360, "dark"]]) {
  test(`every page is sound at ${width} px, ${colorScheme}`, options, async (t) => {
    const { server, id, running } = await busy(t);
    const visitor = await visit(t, server, { width, colorScheme });
    const pages = [
      ["/", ".uplot canvas"],
      ["/jobs", "tr[data-id]"],
      ["/jobs?q=state:failed", "tr .state.failed"],
      [`/jobs/${id}`, ".waterfall"],
      [`/jobs/${running}`, ".now progress"],
      ["/jobs/gone", "h1 .cancelled"],
      ["/jobs/whole", ".graph li"],
      ["/jobs/asks", ".why button"],
      ["/queues", "table.limit-keys"],
      ["/errors", ".groups > li"],
      ["/schedules", "table.schedules"],
      ["/workers", ".workers > li"],
      ["/kinds", "tbody tr"],
      ["/batches", ".empty"],
      ["/no-such-page", "h1"],
    ];
    for (const [path, shown] of pages) {
      await visitor.open(path);
      await visitor.page.locator(`main ${shown}`).first().waitFor();
      const overflow = await visitor.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overflow, 0, `${path} is wider than its window`);
      assert.equal(await visitor.page.getByRole("alert").count(), 0, `${path} has trouble`);
      visitor.isQuiet();
      assert.deepEqual(await visitor.violations(), [], path);
      // What axe itself said does not count.
      visitor.complaints.length = 0;
    }
    await visitor.open(`/jobs/${id}`);
    await visitor.page.locator("h1 .failed").waitFor();
    await visitor.button("Retry").click();
    await visitor.page.getByRole("dialog").waitFor();
    assert.deepEqual(await visitor.violations(), [], "a dialog");
    await visitor.open("/jobs/asks");
    for (const name of ["Send signal", "Fork", `Run again from ${LONG}`]) {
      await visitor.button(name).click();
      const dialog = visitor.page.getByRole("dialog");
      await dialog.waitFor();
      assert.equal(await dialog.evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth), 0, `the dialog of ${name} is wider than itself`);
      assert.deepEqual(await visitor.violations(), [], name);
      await visitor.button("Leave it", dialog).click();
      await dialog.waitFor({ state: "detached" });
    }
    await visitor.open("/queues");
    for (const name of ["Limits of tenant:7", `Pause key tenant:${LONG}`, "Take away the limits of tenant:*", "Change the order of post", "Change how many of post may wait"]) {
      await visitor.button(name).click();
      const dialog = visitor.page.getByRole("dialog");
      await dialog.waitFor();
      const overflow = await dialog.evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth);
      assert.equal(overflow, 0, `the dialog of ${name} is wider than itself`);
      assert.deepEqual(await visitor.violations(), [], name);
      await visitor.button("Leave it", dialog).click();
      await dialog.waitFor({ state: "detached" });
    }
  });
}

test("pages work under a base path", options, async (t) => {
  const server = await serve(t, { args: ["--base-path", "/tools/longhaul"] });
  const visitor = await visit(t, server);
  await visitor.page.goto(`${server.url}/tools/longhaul/admin/`);
  await visitor.page.getByRole("heading", { name: "Overview" }).waitFor();
  await visitor.page.getByRole("link", { name: "Queues", exact: true }).click();
  await visitor.page.getByRole("row", { name: /^step10/ }).waitFor();
  assert.match(visitor.page.url(), /\/tools\/longhaul\/admin\/queues$/);
  visitor.isQuiet();
});

test("files are sent compressed, within the budget of the first page", options, async (t) => {
  const server = await serve(t);
  const html = await fetch(`${server.url}/admin`).then((answer) => answer.text());
  const first = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) => path);
  let bytes = 0;
  for (const path of first) {
    const { headers } = await fetch(`${server.url}/admin/${path}`, { method: "HEAD", headers: { "accept-encoding": "gzip" } });
    assert.equal(headers.get("content-encoding"), "gzip", path);
    bytes += Number(headers.get("content-length"));
    const plain = await fetch(`${server.url}/admin/${path}`, { headers: { "accept-encoding": "gzip;q=0" } });
    assert.equal(plain.headers.get("content-encoding"), null);
  }
  assert.ok(bytes > 10_000 && bytes < 60_000, `${bytes} bytes`);
});
