// A worker and a client in one program, beside a server in Rust: it needs no database, only the server's address.
import { Longhaul } from "@longhaul/client";
import { Worker } from "@longhaul/worker";

const url = process.argv[2] ?? "http://127.0.0.1:8000";

const worker = new Worker({ url, slots: 8 });
worker.job("shout", async (cx, { text }) => text.toUpperCase());
const working = worker.run(); // until SIGTERM or `stop`, which let running jobs end

const client = new Longhaul({ url });
console.log(await client.run("shout", { text: "ahoy" }));

worker.stop();
await working;
