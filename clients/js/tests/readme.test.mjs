// Every snippet of the READMEs is run as it stands, against a real server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Longhaul } from "@longhaul/client";
import { Server } from "./server.mjs";

const options = { timeout: 240_000 };
/** What the snippet of the worker leaves to its reader. */
const LEFT_OUT = "const fetchPages = async () => ['one', 'two'];\nconst read = async (page) => page.toUpperCase();\n";

async function snippets(name) {
  const text = await readFile(new URL(`node_modules/@longhaul/${name}/README.md`, import.meta.url), "utf8");
  return [...text.matchAll(/```jsx?\n(.*?)```/gs)].map(([, snippet]) => snippet);
}

/** Starts a snippet as a program of its own, for a server. */
async function start(name, snippet, server) {
  const file = new URL(`readme-${name}.mjs`, import.meta.url);
  await writeFile(file, snippet.replaceAll("http://127.0.0.1:8000", server.url));
  return spawn(process.execPath, [fileURLToPath(file)], { stdio: ["ignore", "pipe", "inherit"] });
}

test("the five minutes print a story, and the double runs a job", options, async (t) => {
  const [work, ask, double, ...more] = await snippets("client");
  assert.deepEqual(more, []);
  const server = await Server.start(t);
  const worker = await start("work", work, server);
  for (const [name, snippet, printed] of [["ask", ask, "Once there were whales { words: 4 }\n"], ["double", double, "hello Ada\n"]]) {
    const program = await start(name, snippet, server);
    assert.equal((await program.stdout.toArray()).join(""), printed);
  }
  worker.kill("SIGTERM");
  assert.deepEqual(await once(worker, "exit"), [0, null]);
});

test("the worker reads pages, and fails for good where no retry can help", options, async (t) => {
  const [work] = await snippets("worker");
  const server = await Server.start(t);
  const client = new Longhaul({ url: server.url });
  const worker = await start("ocr", LEFT_OUT + work, server);
  const job = await client.enqueue("ocr", { url: "https://example.com/a.pdf" }, { queue: "gpu" });
  assert.deepEqual([await job.text(), await job.wait()], ["ONETWO", { pages: 2 }]);
  await assert.rejects(client.run("ocr", { url: "file:///etc/passwd" }, { queue: "gpu" }), /only https is read/);
  worker.kill("SIGTERM");
  assert.deepEqual(await once(worker, "exit"), [0, null]);
});

test("readings are written in one call", options, async (t) => {
  const [, collect] = await snippets("worker");
  const server = await Server.start(t);
  const table = "const table = { insert: async (rows) => rows.map((_, n) => `${n} of ${rows.length}`) };\n";
  const setting = 'import { Worker } from "@longhaul/worker";\nconst worker = new Worker({ url: "http://127.0.0.1:8000" });\n';
  const rows = ["roof", "cellar", "roof"].map((sensor) => ({ kind: "reading", args: { sensor } }));
  const jobs = await new Longhaul({ url: server.url }).enqueueMany(rows);
  const worker = await start("collect", `${setting}${table}${collect}\nawait worker.run();\n`, server);
  assert.deepEqual(await Promise.all(jobs.map((job) => job.wait())), ["0 of 2", "0 of 1", "1 of 2"]);
  worker.kill("SIGTERM");
  assert.deepEqual(await once(worker, "exit"), [0, null]);
});

test("an order waits for an answer, sleeps, and waits for its items", options, async (t) => {
  const [, , waits, ...more] = await snippets("worker");
  assert.deepEqual(more, []);
  const server = await Server.start(t);
  const setting = 'import { Fatal, Worker } from "@longhaul/worker";\nconst sendOffer = () => null;\nconst worker = new Worker({ url: "http://127.0.0.1:8000" });\n';
  const end = 'worker.job("item", (_, item) => item);\nawait worker.run();\n';
  // The hour of the sleep is one of a reader's.
  const worker = await start("order", setting + waits.replace("3_600", "0.1") + end, server);
  const job = await new Longhaul({ url: server.url }).enqueue("order", { items: [1, 2, 3] });
  assert.equal(await job.signal("answer", "yes"), true);
  assert.equal(await job.wait(), 3);
  worker.kill("SIGTERM");
  assert.deepEqual(await once(worker, "exit"), [0, null]);
});
