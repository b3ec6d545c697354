// The same with BullMQ: `work-bullmq.mjs REDIS SLOTS JOBS`. It enqueues them first.
import { Queue, Worker } from "bullmq";

const [url, slots, jobs] = process.argv.slice(2);
const connection = { port: Number(new URL(url).port), maxRetriesPerRequest: null };
const queue = new Queue("bench", { connection, defaultJobOptions: { removeOnComplete: true } });
const data = { to: "ada@example.com", text: "x".repeat(150) };
for (let rest = Number(jobs); rest > 0; rest -= 1_000) await queue.addBulk(Array.from({ length: 1_000 }, () => ({ name: "bench", data })));
let [begun, done] = [0, 0];
const worker = new Worker("bench", async () => {
  if (done++ === 0) begun = performance.now();
  if (done !== Number(jobs)) return;
  console.log((performance.now() - begun) / 1_000);
  setImmediate(() => worker.close().then(() => queue.close()));
}, { connection, concurrency: Number(slots) });
