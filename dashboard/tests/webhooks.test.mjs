// What was told of a job by its webhook.
import assert from "node:assert/strict";
import { test } from "node:test";
import { options, serve, visit } from "./browser.mjs";
import { declare } from "./worker.mjs";

test("a job's deliveries tell how they ended, and are sent again", options, async (t) => {
  const server = await serve(t);
  const visitor = await visit(t, server);
  const { page } = visitor;
  await declare(server, "page", "site");
  const url = "http://127.0.0.1:1/hook";
  await server.call("POST", "jobs", { id: "told", kind: "page", queue: "site", args: {}, webhook: { url, events: ["cancelled"] } });
  await server.call("POST", "jobs", { id: "silent", kind: "page", queue: "site", args: {} });
  await visitor.open("/jobs/told");
  const deliveries = page.locator("section", { has: page.locator("h2", { hasText: "Deliveries" }) });
  await deliveries.getByText("waits for the end of the job").waitFor();
  await deliveries.getByText(url).waitFor();
  assert.equal(await deliveries.getByRole("button").count(), 0, "there is nothing to send yet");
  await server.call("POST", "jobs/told/cancel");
  // This server was not told that it may call its own machine.
  await deliveries.getByText("job.cancelled").waitFor();
  await deliveries.getByText("127.0.0.1 is a loopback address").first().waitFor();
  await deliveries.getByRole("button", { name: "send again" }).click();
  await page.locator("dialog").getByText("longhaul deliveries redeliver webhook:told").waitFor();
  await page.locator("dialog").getByRole("button", { name: "Send" }).click();
  await deliveries.locator("li > p .failed").nth(1).waitFor();
  await visitor.open("/jobs/silent");
  await page.locator("h1 .available").waitFor();
  assert.equal(await deliveries.count(), 0);
  visitor.isQuiet();
});
