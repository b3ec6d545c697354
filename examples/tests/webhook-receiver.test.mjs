// Runs webhook-receiver.mjs beside a real server, with the reference library of Standard Webhooks: LONGHAUL_BIN names its binary.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Longhaul } from "@longhaul/client";
import { Server } from "./server.mjs";

/** The program with a secret, and the lines that it prints. */
function receiver(t, secret) {
  const program = spawn(process.execPath, [fileURLToPath(new URL("webhook-receiver.mjs", import.meta.url)), secret, "0"], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => program.kill());
  return createInterface({ input: program.stdout })[Symbol.asyncIterator]();
}

test("messages are verified with either of two secrets", { timeout: 240_000 }, async (t) => {
  const server = await Server.start(t, { args: ["--webhook-allow", "127.0.0.1"] });
  const secrets = [await server.call("POST", "webhook-secrets"), await server.call("POST", "webhook-secrets")];
  const client = new Longhaul({ url: server.url });
  for (const { secret } of secrets) {
    const lines = receiver(t, secret);
    const url = (await lines.next()).value;
    const job = await client.enqueue("http.request", { url, method: "POST", body: "unsigned", expect: [401] }, { webhook: url });
    await job.wait({ timeout: 60_000 });
    assert.match((await lines.next()).value, new RegExp(`^job.completed ${job.id} .*"status":401`));
  }
});
