import assert from "node:assert/strict";
import { test } from "node:test";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<div id=root></div>", { url: "http://page.example/", pretendToBeVisual: true });
for (const name of ["window", "document", "navigator", "sessionStorage"]) {
  // Newer releases of Node have a navigator of their own, which a plain assignment does not replace.
  Object.defineProperty(globalThis, name, { value: name === "window" ? window : window[name], configurable: true, writable: true });
}
const { createElement: h, StrictMode } = await import("react");
const { createRoot } = await import("react-dom/client");
const { renderToString } = await import("react-dom/server");
const { Longhaul } = await import("@longhaul/client");
const { MemoryServer } = await import("@longhaul/client/testing");
const { Server } = await import("./server.mjs");
const { LonghaulProvider, useJob, useJobs, useRun, useStep10Status } = await import("@longhaul/react");

/** Renders in StrictMode, and resolves once the page has the text. */
function mounted(test, client, element) {
  const container = document.createElement("div");
  document.body.append(container);
  const root = createRoot(container);
  test.after(() => root.unmount());
  root.render(h(StrictMode, null, h(LonghaulProvider, { client }, element)));
  const shows = (text) =>
    new Promise((resolve) => {
      const look = () => container.textContent.includes(text) && (observer.disconnect(), resolve());
      const observer = new window.MutationObserver(look);
      observer.observe(container, { childList: true, characterData: true, subtree: true });
      look();
    });
  return { container, root, shows };
}

test("a job is followed by all who show it over one connection", { timeout: 300_000 }, async (t) => {
  const server = new MemoryServer();
  let connections = 0;
  // The stream stays open until the test sends what is next.
  let send;
  const fetch = (input, init) => {
    if (!String(input).endsWith("/events")) return server.fetch(input, init);
    connections += 1;
    const body = new ReadableStream({ start: (stream) => (send = stream) });
    return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  };
  const event = (id, type, data) => send.enqueue(new TextEncoder().encode(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ attempt: 1, at: "", ...data })}\n\n`));
  const client = new Longhaul({ url: "http://memory", fetch });
  const Show = () => {
    const { state, text, progress, output } = useJob("j", { throttle: 1 });
    return h("p", null, `${state}|${text}|${progress?.percent}|${output}`);
  };
  const { container, shows } = mounted(t, client, [h(Show, { key: 1 }), h(Show, { key: 2 })]);
  await shows("undefined|");
  while (send === undefined) await new Promise((resolve) => setImmediate(resolve));
  event(1, "state", { state: "running" });
  event(2, "chunk", { data: "wrong" });
  event(3, "reset", {});
  event(4, "progress", { percent: 50, message: "", data: null });
  event(5, "chunk", { data: "right" });
  await shows("running|right|50|undefined");
  event(6, "output", { output: "whole" });
  event(7, "state", { state: "completed", error: null });
  await shows("completed|right|50|whole");
  assert.equal(container.children.length, 2);
  assert.equal(container.children[0].textContent, container.children[1].textContent);
  assert.equal(connections, 1);
});

test("a page has four streams at most, and reads the other jobs", { timeout: 300_000 }, async (t) => {
  const server = new MemoryServer();
  const streams = [];
  const fetch = async (input, init) => {
    if (!String(input).endsWith("/events")) return server.fetch(input, init);
    const body = new ReadableStream({
      start: (stream) => {
        streams.push(stream);
        init.signal.addEventListener("abort", () => stream.error(init.signal.reason));
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  const client = new Longhaul({ url: "http://memory", fetch });
  await client.enqueueMany(Array.from({ length: 6 }, (_, n) => ({ kind: "k", id: `j${n}`, args: n })));
  const Show = ({ id }) => h("p", null, `${id}:${useJob(id, { throttle: 1 }).state}`);
  const { shows } = mounted(t, client, Array.from({ length: 6 }, (_, n) => h(Show, { key: n, id: `j${n}` })));
  // The two without a stream were read; those with one have heard nothing yet.
  await shows("j4:available");
  await shows("j5:available");
  assert.equal(streams.length, 4);
  streams[0].enqueue(new TextEncoder().encode('id: 1\nevent: state\ndata: {"attempt":1,"at":"","state":"completed","error":null}\n\n'));
  await shows("j0:completed");
  while (streams.length < 5) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(streams.length, 5);
});

test("a page that is loaded again goes on with its job", { timeout: 300_000 }, async (t) => {
  const server = new MemoryServer();
  let run;
  const Run = () => {
    const it = useRun("greet", { throttle: 1, persist: "greeting" });
    run = it.run;
    return h("p", null, `${it.state}|${it.text}|${it.output}`);
  };
  const first = mounted(t, server.client(), h(Run));
  await first.shows("undefined||undefined");
  const job = await run("Ada");
  await first.shows("available||undefined");
  first.root.unmount();
  server.emit(job.id, "hello");
  server.complete(job.id, "done");
  const { shows } = mounted(t, server.client(), h(Run));
  await shows("completed|hello|done");
});

test("the README's page writes a story", { timeout: 300_000 }, async (t) => {
  const { readFile, writeFile } = await import("node:fs/promises");
  const { createRequire } = await import("node:module");
  // The compiler of the packages' own build.
  const typescript = createRequire(new URL("../source/package.json", import.meta.url))("typescript");
  const text = await readFile(new URL("node_modules/@longhaul/react/README.md", import.meta.url), "utf8");
  const [snippet, ...more] = [...text.matchAll(/```jsx\n(.*?)```/gs)].map(([, snippet]) => snippet);
  assert.deepEqual(more, []);
  const { outputText } = typescript.transpileModule(snippet, { compilerOptions: { jsx: "react-jsx", module: "esnext", target: "es2022" } });
  const file = new URL("readme-page.mjs", import.meta.url);
  await writeFile(file, outputText);
  const { Page } = await import(file);
  const server = new MemoryServer();
  const client = server.client();
  const { shows, container } = mounted(t, client, h(Page, { client }));
  await shows("Write");
  container.querySelector("button").dispatchEvent(new window.MouseEvent("click", { bubbles: true }));
  await shows("available");
  const [job] = server.jobs.values();
  server.emit(job.id, "Once there were whales");
  server.complete(job.id);
  await shows("Once there were whales");
  await shows("completed");
});

test("a job is enqueued and followed, and a refusal is shown", { timeout: 300_000 }, async (t) => {
  const server = new MemoryServer();
  const client = server.client();
  let run;
  const Run = () => {
    const it = useRun("greet", { throttle: 1 });
    run = it.run;
    const { jobs } = useJobs({ kind: "greet" }, { interval: 10 });
    return h("p", null, `${it.state}|${it.output}|${it.failure?.name}|${jobs?.length}`);
  };
  const { shows } = mounted(t, client, h(Run));
  await shows("undefined|undefined|undefined|0");
  const job = await run("Ada");
  server.complete(job.id, "hello Ada");
  await shows("completed|hello Ada|undefined|1");
});

/** A client that notes its requests for lists, and how many feeds are open. */
function watched(url, options = {}) {
  const seen = { lists: 0, open: 0 };
  const client = new Longhaul({
    url,
    maxRetries: 10,
    ...options,
    fetch: async (input, init) => {
      if (/\/api\/jobs\?/.test(input)) seen.lists += 1;
      const response = await fetch(input, init);
      if (!input.includes("/api/events")) return response;
      seen.open += 1;
      init.signal.addEventListener("abort", () => (seen.open -= 1), { once: true });
      return response;
    },
  });
  return { client, seen };
}

/** Lists of two kinds, which are read by time alone once an hour. */
function Lists() {
  const options = { throttle: 1, interval: 3_600_000 };
  const greet = useJobs({ kind: "greet", state: ["available", "cancelled"] }, options);
  const other = useJobs({ kind: ["other"] }, options);
  const states = (jobs) => jobs?.map(({ state }) => state).join("+");
  return h("p", null, `${states(greet.jobs)}|${states(other.jobs)}|`);
}

const hide = (isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new window.Event("visibilitychange"));
};

test("lists follow the feed of a server over one connection, also after it was away, and a hidden page reads nothing", { timeout: 300_000 }, async (t) => {
  const server = await Server.start(t);
  t.after(() => hide(false));
  const another = new Longhaul({ url: server.url, maxRetries: 10 });
  const { client, seen } = watched(server.url);
  const { shows, root } = mounted(t, client, h(Lists));
  await shows("||");
  const job = await another.enqueue("greet");
  await shows("available||");
  await another.enqueue("other");
  await shows("available|available|");
  await job.cancel();
  await shows("cancelled|available|");
  assert.equal(seen.open, 1, "all lists share a feed");

  await server.restart();
  await another.enqueue("greet");
  await shows("available+cancelled|available|");

  hide(true);
  assert.equal(seen.open, 0);
  const { lists } = seen;
  // By another feed it is known that the change was told.
  const feed = another.events({ kind: "other" });
  await feed.next();
  await another.jobs.cancel({ filter: { kind: "other" } });
  assert.equal((await feed.next()).value.state, "cancelled");
  await feed.return();
  assert.equal(seen.lists, lists, "nothing was read while the page was hidden");
  hide(false);
  await shows("available+cancelled|cancelled|");
  root.unmount();
  while (seen.open > 0) await new Promise((resolve) => setImmediate(resolve));
});

test("a list is read by time where there is no feed, and says what is wrong until it is well again", { timeout: 300_000 }, async (t) => {
  const server = new MemoryServer();
  let isAway = false;
  const client = new Longhaul({
    url: "http://memory",
    maxRetries: 0,
    fetch: (input, init) => {
      if (isAway || String(input).includes("/api/events")) return Promise.resolve(Response.json({ code: "forbidden", detail: "not for you" }, { status: 403 }));
      return server.fetch(input, init);
    },
  });
  const List = () => {
    const { jobs, error } = useJobs({ kind: "greet" }, { interval: 1 });
    return h("p", null, `${jobs?.length}|${error?.name}`);
  };
  const { shows } = mounted(t, client, h(List));
  await shows("0|undefined");
  await client.enqueue("greet");
  await shows("1|undefined");
  isAway = true;
  await shows("1|Forbidden");
  isAway = false;
  await shows("1|undefined");
});

test("the status of step 10 has the seed's fields, and pages are rendered on a server", { timeout: 300_000 }, async (t) => {
  const status = {
    workflowId: "w", modulesGenerated: 1, totalModules: 4, allComplete: false, totalLessons: 10, totalContactHours: 15,
    jobs: { total: 2, active: 1, completed: 1, failed: 0, details: [{ jobId: "a", moduleIndex: 1, state: "active", progress: 50, attemptsMade: 0 }] },
    status: "in_progress",
  };
  const asked = [];
  const client = new Longhaul({
    url: "http://memory",
    fetch: async (url) => {
      asked.push(url);
      if (asked.length === 1) return Response.json({ success: false, error: "Workflow not found" }, { status: 404 });
      return Response.json({ success: true, data: asked.length < 5 ? status : { ...status, modulesGenerated: 4, allComplete: true, status: "complete", jobs: { ...status.jobs, details: [] } } });
    },
  });
  const Step10View = () => {
    const { status, loading, error, progressPercentage, estimatedTimeRemaining } = useStep10Status("w", 5);
    return h("p", null, `${loading}|${error}|${status?.status}|${progressPercentage}|${estimatedTimeRemaining}`);
  };
  assert.match(renderToString(h(LonghaulProvider, { client }, h(Step10View))), /true\|null\|undefined\|0\|0/);
  assert.equal(asked.length, 0, "nothing is asked while a server renders");
  const { shows } = mounted(t, client, h(Step10View));
  await shows("false|null|in_progress|38|38");
  await shows("false|null|complete|100|0");
  assert.equal(asked[0], "http://memory/api/v3/workflow/w/step10/status");
});
