// The worker for JavaScript under the conformance tests: `worker.mjs URL OPTIONS`. See README.md for the kinds.
import { execFileSync } from "node:child_process";
import { Cancel, Fatal, RateLimited, Snooze, Worker } from "@longhaul/worker";

const { queue, ...options } = JSON.parse(process.argv[3]);
const worker = new Worker({ url: process.argv[2], ...options });
const ask = async (url, signal) => (await fetch(url, { signal })).text();
const job = (kind, handler, version = 1) => worker.job(kind, handler, { queue, version });

job("echo", (cx, args) => args);
job("told", ({ jobId, attempt, maxAttempts, version, labels, traceparent }) => ({ id: jobId, attempt, max_attempts: maxAttempts, version, labels, traceparent }), 2);
job("gate", async (cx, args) => {
  cx.emit("started");
  try {
    await ask(args.gate, cx.signal);
  } catch (error) {
    if (cx.signal.aborted) await ask(args.stopped);
    throw error;
  }
  return "done";
});
job("stubborn", async (cx, args) => {
  cx.emit("started");
  cx.signal.addEventListener("abort", () => void ask(args.stopped));
  await ask(args.gate);
  cx.emit("went");
  return "done";
});
job("block", async (cx, args) => {
  cx.emit("started");
  await cx.step("started", () => null);
  execFileSync(process.execPath, ["--eval", `fetch(${JSON.stringify(args.gate)})`]);
  return "done";
});
job("steps", async (cx, args) => {
  const first = await cx.step("first", () => ask(args.hit));
  if (cx.attempt === 1) throw new TypeError("broken after the step");
  return [first, cx.attempt];
});
job("twice", async (cx) => {
  let first;
  try {
    await cx.step("same", () => Promise.reject(new TypeError("not yet")));
  } catch {
    first = await cx.step("same", () => 1);
  }
  return [first, await cx.step("same", () => 2)];
});
job("patched", async (cx, { changed }) => {
  let isNew = cx.attempt > 1 && changed === "before" && (await cx.patched("point"));
  await cx.step("done", () => 1);
  isNew ||= cx.attempt > 1 && changed === "after" && (await cx.patched("point"));
  if (cx.attempt < 3) throw new Error("again");
  return isNew;
});
job("end", (cx, { how, bytes }) => {
  if (how === "fatal") throw new Fatal("no retry can help");
  if (how === "cancel") throw new Cancel("not wanted");
  if (how === "large") return "x".repeat(bytes);
  if (how === "no json") return () => 1;
  throw new TypeError("broken");
});
job("wait", async (cx, { how, timeout, seconds, children }) => {
  if (how === "signal") return [(await cx.waitFor("go", { timeout })) ?? null, cx.attempt];
  if (how === "token") {
    cx.emit(await cx.waitToken("go"));
    return cx.waitFor("go");
  }
  if (how === "sleep") await cx.sleep("while", seconds);
  else {
    await cx.enqueueChildren("all", children);
    return [await cx.waitForChildren(), cx.attempt];
  }
  return cx.attempt;
});
job("settle", (cx, { units }) => {
  cx.settle(units + 1);
  cx.settle(units);
});
job("later", async (cx, args) => {
  if ((await ask(args.hit)) === "1") throw new (args.is_limit ? RateLimited : Snooze)(args.seconds);
  return cx.attempt;
});
job("say", (cx, args) => {
  cx.progress(10, "begun");
  cx.log("saying", "warn");
  for (let number = 0; number < args.chunks; number++) cx.emit(`${number} ${"x".repeat(args.bytes)}`);
  cx.progress(90, "said", { chunks: args.chunks });
});

await worker.run();
