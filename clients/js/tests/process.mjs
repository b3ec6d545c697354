// A worker in a process of its own. `endless` says that it has started and does not end; `computes` holds the event loop.
import { Worker } from "@longhaul/worker";

const worker = new Worker({ url: process.argv[2], lease: 6, drain: 0.2, warn: () => undefined });
worker.job("endless", async (cx) => {
  process.stdout.write("started\n");
  await new Promise((resolve) => cx.signal.addEventListener("abort", resolve));
});
worker.job("computes", (cx) => {
  process.stdout.write("started\n");
  // Longer than two leases: the handler must not let the event loop go, so that it cannot await a signal.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 13_000);
  return cx.attempt;
});
await worker.run();
