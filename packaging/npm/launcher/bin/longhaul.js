#!/usr/bin/env node
// Runs the binary of this platform's package with the same arguments, and ends as it ends.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");

const name = `@longhaul/server-${process.platform}-${process.arch}`;

function binary() {
  if (process.env.LONGHAUL_BIN) return process.env.LONGHAUL_BIN;
  try {
    return require.resolve(`${name}/bin/longhaul`);
  } catch {
    console.error(
      `longhaul: the package ${name} is not installed: install again without --omit=optional, ` +
        "or, where there is no package for this platform, build the server and set LONGHAUL_BIN to it",
    );
    process.exit(1);
  }
}

const child = spawn(binary(), process.argv.slice(2), { stdio: "inherit" });

// A terminal signals the whole group, a supervisor this process alone. The server drains at the first signal and ends at
// once at the second, so a signal that the terminal has sent to both is not passed on.
const onTerminal = process.stdin.isTTY;
process.on("SIGINT", () => onTerminal || child.kill("SIGINT"));
process.on("SIGTERM", () => child.kill("SIGTERM"));
process.on("SIGHUP", () => onTerminal || child.kill("SIGHUP"));

child.on("error", (error) => {
  console.error(`longhaul: failed to start the binary: ${error.message}`);
  process.exit(1);
});
// The exit code of a process that a signal ended is, by the shells' convention, 128 and the signal's number.
child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
