// Names of any length and of any letters: pages fit their windows, what one acts with stays in reach, and no line is turned round.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { claim, declare } from "./worker.mjs";

const NAME = "q".repeat(128);
const KIND = "k".repeat(128);
const LABEL = "l".repeat(100);

for (const width of [360, 1440]) {
  test(`every page has room for the longest names at ${width} px`, options, async (t) => {
    const server = await serve(t);
    const visitor = await visit(t, server, { width });
    const { page } = visitor;
    const job = { kind: KIND, queue: NAME, args: {}, labels: { [LABEL]: LABEL }, key: NAME, max_attempts: 1 };
    const { id: strange } = await server.call("POST", "jobs", { ...job, kind: KIND.toUpperCase() });
    await declare(server, KIND, NAME, WORKER);
    const batch = await server.call("POST", "jobs", { ...job, delay: 3_600 });
    for (let n = 0; n < 3; n++) await server.call("POST", "jobs", job);
    const failed = await claim(server, KIND, NAME, { worker: WORKER });
    await failed.end({ failed: { error: { message: NAME } } });
    const running = await claim(server, KIND, NAME, { worker: WORKER });
    await server.call("POST", `queues/${NAME}/pause`);
    const pages = [
      ["/", "table"],
      ["/jobs", "tr[data-id]"],
      [`/jobs/${failed.id}`, ".facts"],
      [`/jobs/${running.id}`, ".facts"],
      [`/jobs/${batch.id}`, ".why li"],
      [`/jobs/${strange}`, ".why li"],
      ["/queues", "table.queues"],
      ["/errors", ".groups > li"],
      [`/errors?kind=${KIND}`, ".groups > li"],
      ["/schedules", "h1"],
      ["/workers", ".workers > li"],
      ["/kinds", "tbody tr"],
      ["/batches", "h1"],
    ];
    for (const [path, shown] of pages) {
      await visitor.open(path);
      await page.locator(`main ${shown}`).first().waitFor();
      const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(widths[0] <= widths[1], `${path} is ${widths[0]} px wide`);
      for (const table of await page.locator("main .wide").all()) {
        const [all, seen] = await table.evaluate((box) => [box.scrollWidth, box.clientWidth]);
        assert.ok(all <= seen, `a table of ${path} is ${all} px wide, of which ${seen} are seen`);
      }
    }
    await visitor.open("/queues");
    await visitor.button(`Resume ${NAME}`).click();
    await page.getByRole("dialog").waitFor();
    const dialog = await page.evaluate(() => document.querySelector("dialog").scrollWidth - document.querySelector("dialog").clientWidth);
    assert.ok(dialog <= 0, "a dialog has room for them");
    await visitor.confirm(`Resume the queue ${NAME}?`, "Resume");
    await visitor.button(`Pause ${NAME}`).waitFor();
    const { x, width: size } = await visitor.button(`Pause ${NAME}`).boundingBox();
    assert.ok(x >= 0 && x + size <= width, "Pause is in reach");
    visitor.isQuiet();
  });
}

const WORKER = { id: "tester", process: "tester", host: "test", queues: [{ queue: NAME, slots: 2 }] };

test("what others wrote turns no line round", options, async (t) => {
  const server = await serve(t);
  const { page, ...visitor } = await visit(t, server);
  await declare(server, "mail", "post");
  const { id } = await server.call("POST", "jobs", { kind: "mail", queue: "post", args: { name: "\u202Egnp.exe" }, labels: { file: "\u202Egnp.exe" } });
  const run = await claim(server, "mail", "post");
  await run.say({ log: { level: "info", message: "\u202Egnp.exe" } });
  await run.say({ progress: { percent: 5, message: "\u202Egnp.exe" } });
  await page.goto(`${server.url}/admin/jobs/${id}`);
  await page.locator(".log li").nth(1).waitFor();
  for (const inside of [".log code", ".log bdi", ".facts dd a"]) {
    const isolation = await page.locator(inside).last().evaluate((element) => getComputedStyle(element).unicodeBidi);
    assert.equal(isolation, "isolate", inside);
  }
  assert.match(await page.getByRole("region", { name: "Args" }).innerText(), /"\\u202egnp\.exe"/, "args show the control itself");
  assert.deepEqual(visitor.complaints, []);
});

test("each page names its tab", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  for (const [path, title] of [["/", "Overview"], ["/jobs", "Jobs"], ["/queues", "Queues"], ["/no-such-page", "No such page"], ["/kinds", "Kinds"]]) {
    await visitor.open(path);
    await visitor.page.waitForFunction((title) => document.title === title, `${title} · Longhaul`);
  }
});
