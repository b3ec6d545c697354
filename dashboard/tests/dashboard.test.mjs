// The dashboard in Debian's Chromium, on a real server with real jobs. `LONGHAUL_BIN` names the server's binary.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Server } from "../../clients/js/tests/server.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const options = { timeout: 240_000 };

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: QUIET });
});
after(() => browser.close());

/** A server, and a page of its dashboard that notes what the browser complains of. */
async function setUp(t, { width = 1440, colorScheme = "light" } = {}) {
  const server = await Server.start(t);
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  const call = async (method, path, body) => {
    const response = await fetch(`${server.url}/api/${path}`, { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.json();
  };
  const open = (path) => page.goto(`${server.url}/admin${path}`);
  return { server, context, page, complaints, call, open };
}

/** Claims one job as a worker of its own would, and answers what says more of it. */
async function claim(call, kind, queue) {
  const worker = { id: `tester-${kind}`, queues: [{ queue, slots: 1 }] };
  const { claimed } = await call("POST", "worker/claim", { worker, queues: [{ queue, slots: 1 }], kinds: [{ kind }], lease_for: 600 });
  await call("POST", "worker/heartbeat", { worker, leases: [], lease_for: 600 });
  const { lease } = claimed[0];
  return {
    id: lease.id,
    say: (entry) => call("POST", "worker/record", { records: [{ lease, entries: [entry] }] }),
    end: (outcome) => call("POST", "worker/finish", { finishes: [{ lease, outcome }] }),
  };
}

test("jobs are searched, and one and all that match are retried, cancelled and deleted", options, async (t) => {
  const { page, call, open, complaints } = await setUp(t);
  await call("POST", "jobs/batch", Array.from({ length: 60 }, (_, n) => ({ kind: n % 2 ? "resize" : "mail", queue: `q${n % 3}`, args: { n }, labels: { tenant: String(n % 4) } })));
  await open("/jobs");
  const rows = page.locator("tbody tr");
  await page.locator("tbody tr >> nth=49").waitFor();
  assert.equal(await rows.count(), 50, "a page has 50 jobs");
  await page.getByRole("link", { name: "Older" }).click();
  await page.waitForURL(/cursor=/);
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 10);

  const search = async (text, count) => {
    await page.getByRole("combobox", { name: "Search" }).fill(text);
    await page.getByRole("button", { name: "Search" }).click();
    await page.waitForFunction((count) => document.querySelectorAll("tbody tr").length === count, count);
  };
  await search("kind:resize queue:q1", 10);
  await search("label.tenant:3 kind:resize", 15);
  await search('"n\\":7}"', 0);
  await search("state:available queue:q0", 20);

  // All that match, after a question with their number.
  await page.getByRole("group", { name: "Actions" }).getByRole("button", { name: "cancel" }).click();
  await page.getByRole("heading", { name: "cancel 20 jobs?" }).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "cancel" }).click();
  await page.getByText("20 jobs cancelled.").waitFor();
  await search("state:cancelled", 20);

  // Some, picked by hand.
  await rows.nth(0).getByRole("checkbox").check();
  await rows.nth(1).getByRole("checkbox").check();
  await page.getByRole("group", { name: "Actions" }).getByRole("button", { name: "delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "delete" }).click();
  await page.getByText("2 jobs deleted.").waitFor();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 18);

  // One, on its page.
  await rows.nth(0).getByRole("link").click();
  await page.getByRole("button", { name: "retry" }).click();
  await page.locator("h1 .available").waitFor();
  await page.getByRole("button", { name: "cancel" }).click();
  await page.locator("h1 .cancelled").waitFor();
  await page.getByRole("button", { name: "delete", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Leave it" }).click();
  await page.locator("h1 .cancelled").waitFor();
  assert.deepEqual(complaints, []);
});

test("a job is followed live in two tabs, also over a server that is killed", options, async (t) => {
  const { page, context, server, call, open } = await setUp(t);
  const story = { kind: "story", queue: "text", args: { title: "<img src=x onerror=alert(1)>", number: 1 } };
  const text = JSON.stringify(story).replace('"number":1', '"number":12345678901234567890');
  await call("POST", "worker/claim", { worker: { id: "known" }, queues: [], kinds: [{ kind: "story" }] });
  const response = await fetch(`${server.url}/api/jobs`, { method: "POST", headers: { "content-type": "application/json" }, body: text });
  const { id } = await response.json();
  const run = await claim(call, "story", "text");
  await open(`/jobs/${id}`);
  const other = await context.newPage();
  await other.goto(`${server.url}/admin/jobs/${id}`);
  for (const tab of [page, other]) await tab.locator("h1 .running").waitFor();
  await run.say({ progress: { percent: 40, message: "chapter two" } });
  await run.say({ chunk: { data: "Once upon " } });
  for (const tab of [page, other]) {
    await tab.getByText("Once upon").waitFor();
    await tab.getByText("chapter two").first().waitFor();
  }
  await server.restart();
  await run.say({ chunk: { data: "a time" } });
  await run.end({ completed: { output: { told: true } } });
  for (const tab of [page, other]) {
    await tab.locator("h1 .completed").waitFor();
    await tab.locator("pre.stream", { hasText: /^Once upon a time$/ }).waitFor();
    assert.match(await tab.locator("main").innerText(), /12345678901234567890/, "integers of any size stay as they are");
    assert.equal(await tab.locator("main img").count(), 0, "what a job holds is text");
  }
});

test("failures, queues and workers are shown, and each page is sound on every screen", options, async (t) => {
  for (const [width, colorScheme] of [[1440, "light"], [360, "dark"]]) {
    await t.test(`${width} px, ${colorScheme}`, async (t) => {
      const { page, call, open, complaints } = await setUp(t, { width, colorScheme });
      await call("POST", "jobs", { kind: "mail", queue: "post", args: {}, max_attempts: 1 });
      const { id, end } = await claim(call, "mail", "post");
      await end({ failed: { error: { message: "mailbox is full" } } });
      const pages = [
        ["/", "mailbox is full"],
        ["/jobs?q=state:failed", "mailbox is full"],
        [`/jobs/${id}`, "Failed attempts"],
        ["/queues", "post"],
        ["/workers", "tester-mail"],
      ];
      for (const [path, shows] of pages) {
        await open(path);
        await page.getByText(shows).first().waitFor();
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(overflow, 0, `${path} is wider than its window`);
        const serious = await violations(page);
        assert.deepEqual(serious, [], path);
      }
      assert.deepEqual(complaints.filter((words) => !words.includes("Content Security Policy")), []);
    });
  }
});

/** Findings of axe that are serious or worse. It runs in a world of its own, which the page's policy does not bind. */
async function violations(page) {
  const session = await page.context().newCDPSession(page);
  const { readFile } = await import("node:fs/promises");
  await session.send("Page.setBypassCSP", { enabled: true });
  await page.evaluate(await readFile(axe, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  await session.send("Page.setBypassCSP", { enabled: false });
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}
