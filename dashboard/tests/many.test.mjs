// 100,000 jobs: all are listed, and the document holds only those that are seen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve, visit } from "./browser.mjs";
import { fill, toTheEnd } from "./many.mjs";

test("100,000 jobs are scrolled to the end, and the document stays small", { timeout: 600_000 }, async (t) => {
  const server = await serve(t);
  await fill(server, 100_000);
  const { page } = await visit(t, server);
  await page.goto(`${server.url}/admin/jobs`);
  const most = await toTheEnd(page, 100_000);
  assert.ok(most < 120, `${most} rows stood in the document`);
  await page.keyboard.press("Home");
  await page.locator('tr[aria-rowindex="2"]').waitFor();
});
