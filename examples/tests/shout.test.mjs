// Runs shout.mjs beside a real server: LONGHAUL_BIN names its binary.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Server } from "./server.mjs";

test("the program of the first page runs a job, prints its output and ends", { timeout: 240_000 }, async (t) => {
  const server = await Server.start(t);
  const program = spawn(process.execPath, [fileURLToPath(new URL("shout.mjs", import.meta.url)), server.url], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(program, "exit");
  assert.equal((await program.stdout.toArray()).join(""), "AHOY\n");
  assert.deepEqual(await ended, [0, null]);
});
