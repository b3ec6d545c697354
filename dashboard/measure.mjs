// Measures the list of 100,000 jobs in Chromium: it is scrolled to its end, then from end to end as by a scrollbar, and then as by a
// wheel. No frame may cost the page 50 ms.
//   LONGHAUL_BIN=… node measure.mjs
import { chromium } from "playwright-core";
import { Server } from "../clients/js/tests/server.mjs";
import { cpuOf, fill, scrollAll, toTheEnd } from "./tests/many.mjs";

const JOBS = 100_000;
const server = await Server.start();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
try {
  await fill(server, JOBS);
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`${server.url}/admin/jobs`);
  await page.locator("tr[data-id]").first().waitFor();
  const cpu = await cpuOf(page);
  const begun = performance.now();
  await toTheEnd(page, JOBS);
  const listed = (performance.now() - begun) / 1_000;
  const frames = (await scrollAll(page, cpu)).sort((one, other) => one - other);
  const at = (part) => frames[Math.floor((frames.length - 1) * part)].toFixed(1);
  console.log(`${JOBS.toLocaleString("en")} jobs listed in ${listed.toFixed(1)} s; work of a frame while scrolling: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
  if (frames.at(-1) >= 50) {
    console.error("a frame may take 50 ms");
    process.exitCode = 1;
  }
} finally {
  await browser.close();
  await server.close();
}
