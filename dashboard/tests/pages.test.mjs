// The pages beside the dashboard (what runs here, the reference, the pages of what is missing) in Debian's Chromium: narrow and
// wide, light and dark.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { Server } from "../../clients/js/tests/server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// Whoever has built the guide gets it at /docs, and not the page that says how.
process.env.LONGHAUL_DOCS = "not-built";
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

test("the pages fit, can be read by everybody, and nothing is complained of", { timeout: 900_000 }, async (t) => {
  const server = await Server.start(t);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: QUIET });
  t.after(() => browser.close());
  for (const [width, colorScheme] of [[360, "light"], [360, "dark"], [1440, "light"], [1440, "dark"]]) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    for (const path of ["/", "/api/reference", "/api/job", "/docs"]) {
      const here = `${path} at ${width} px, ${colorScheme}`;
      const complaints = [];
      const note = (message) => message.type() === "error" && complaints.push(message.text());
      page.on("console", note);
      const response = await page.goto(server.url + path);
      const isThere = ["/", "/api/reference"].includes(path);
      assert.equal(response.status(), isThere ? 200 : 404, here);
      page.off("console", note);
      // The browser notes by itself that a page is 404.
      assert.deepEqual(complaints.filter((text) => isThere || !text.includes("404")), [], here);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `${here}: ${overflow} px too wide`);
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(background === "rgb(255, 255, 255)", colorScheme === "light", `${here}: ${background}`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.length, nodes[0].html]), [], here);
    }
    await context.close();
  }
});

test("from the first page, a person gets to the dashboard and to an example of a call", { timeout: 900_000 }, async (t) => {
  const server = await Server.start(t);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: QUIET });
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${server.url}/`);
  await page.getByRole("link", { name: "Dashboard" }).click();
  await page.waitForURL(/\/admin/);
  await page.goto(`${server.url}/`);
  await page.getByRole("link", { name: "POST /lessons", exact: true }).click();
  await page.waitForURL(/reference#createLesson/);
  assert.match(await page.locator("#createLesson pre").textContent(), /curl -s -X POST .*\/lessons" \\\n.*"subject":"english"/s);
});
