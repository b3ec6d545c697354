// A worker in a process of its own, of one kind: a claim that a held event loop does not read must bring it nothing else.
import { Worker } from "@longhaul/worker";

const jobs = {
  /** Says that it has started and does not end. */
  endless: async (cx) => {
    process.stdout.write("started\n");
    await new Promise((resolve) => cx.signal.addEventListener("abort", resolve));
  },
  /** Holds the event loop. */
  computes: (cx) => {
    process.stdout.write("started\n");
    // Longer than two leases: the handler must not let the event loop go, so that it cannot await a signal.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 32_000);
    return cx.attempt;
  },
};

const [url, kind] = process.argv.slice(2);
// Four fifths of a lease without a heartbeat end a run, and a busy machine may stand still for some seconds.
const worker = new Worker({ url, lease: 15, drain: 0.2, warn: () => undefined });
worker.job(kind, jobs[kind]);
await worker.run();
