// Runs so many jobs with the worker for JavaScript, and prints the seconds from the first to the last: `work.mjs URL SLOTS JOBS`.
import { Worker } from "@longhaul/worker";

const [url, slots, jobs] = process.argv.slice(2);
const worker = new Worker({ url, slots: Number(slots) });
let [begun, done] = [0, 0];
worker.job("bench", async () => {
  if (done++ === 0) begun = performance.now();
  if (done === Number(jobs)) {
    console.log((performance.now() - begun) / 1_000);
    worker.stop();
  }
}, { queue: "bench" });
await worker.run();
