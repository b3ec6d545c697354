// Renders the page of react-page.mjs over a server in memory, presses its button, and reads what it shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<div id=root></div>", { url: "http://page.example/", pretendToBeVisual: true });
for (const name of ["window", "document", "navigator", "FormData", "Event"]) {
  Object.defineProperty(globalThis, name, { value: name === "window" ? window : window[name], configurable: true, writable: true });
}
const { createElement: h } = await import("react");
const { createRoot } = await import("react-dom/client");
const { MemoryServer } = await import("@longhaul/client/testing");
const { LonghaulProvider } = await import("@longhaul/react");
const { Story } = await import("./react-page.mjs");

test("the page of the guide runs a job and shows its text as it comes", { timeout: 300_000 }, async (t) => {
  const server = new MemoryServer();
  const client = server.client();
  const container = document.querySelector("#root");
  const root = createRoot(container);
  t.after(() => root.unmount());
  root.render(h(LonghaulProvider, { client }, h(Story)));
  const shows = (text) =>
    new Promise((resolve) => {
      const look = () => container.textContent.includes(text) && (observer.disconnect(), resolve());
      const observer = new window.MutationObserver(look);
      observer.observe(container, { childList: true, characterData: true, subtree: true });
      look();
    });
  await shows("nothing was asked for");
  container.querySelector("form").dispatchEvent(new window.Event("submit", { bubbles: true, cancelable: true }));
  // Accepted, and not run: the test is its worker.
  await shows("available");
  const jobs = [];
  for await (const job of client.jobs.list()) jobs.push(job);
  const [job] = jobs;
  assert.deepEqual(job.args, { about: "whales" });
  server.emit(job.id, "Of whales");
  server.complete(job.id, "done");
  await shows("Of whales");
  await shows("completed");
  assert.equal(container.querySelector("progress").max, 100);
});
