// Writes docs/screenshots: each page of the dashboard, light and dark, on a real server with the services at work.
//   LONGHAUL_BIN=… FAKES_BIN=… node screenshots.mjs [PAGE…]
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { act, keepBusy, startScene } from "./tests/scene.mjs";

const folder = process.env.SCREENSHOTS ?? fileURLToPath(new URL("../docs/screenshots/", import.meta.url));
const only = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const scene = await startScene();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const over = new AbortController();
let busy;
try {
  const { report } = await act(scene.server);
  busy = keepBusy(scene.server, over.signal);
  const pages = [
    ["overview", "", 1100],
    ["jobs", "jobs", 800],
    ["job", `jobs/${report}`, 1150],
    ["queues", "queues", 1000],
    ["errors", "errors", 700],
    ["workers", "workers", 800],
    ["kinds", "kinds", 700],
    ["batches", "batches?show=ended", 400],
  ].filter(([name]) => only.length === 0 || only.includes(name));
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme, deviceScaleFactor: width === 360 ? 2 : 1 });
      const page = await context.newPage();
      for (const [name, path, height] of pages) {
        if (width === 360 && !["overview", "jobs", "job"].includes(name)) continue;
        await page.setViewportSize({ width, height: width === 360 ? 780 : height });
        await page.goto(`${scene.server.url}/admin/${path}`);
        // What comes lazily: the page's part, its first answers, the chart, and some seconds of what happens.
        await page.locator("main h1").waitFor();
        await page.waitForTimeout(name === "overview" ? 20_000 : 1_200);
        const file = `${folder}/${name}${width === 360 ? "-narrow" : ""}-${colorScheme}.webp`;
        const session = await context.newCDPSession(page);
        const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 82 });
        await writeFile(file, Buffer.from(data, "base64"));
        await session.detach();
      }
      await context.close();
    }
  }
} finally {
  over.abort();
  await busy;
  await browser.close();
  await scene.close();
}
