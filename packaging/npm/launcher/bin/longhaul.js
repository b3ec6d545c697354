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
let isTold = false;
const handOn = (signal) => {
  isTold = true;
  child.kill(signal);
};
process.on("SIGINT", () => onTerminal || handOn("SIGINT"));
process.on("SIGTERM", () => handOn("SIGTERM"));
process.on("SIGHUP", () => onTerminal || handOn("SIGHUP"));

// `npx` starts this launcher in a shell, sends the shell the signal that it gets, and ends with it: nothing reaches the launcher, whose
// parent is another process from then on. The end of the shell stands for the signal, or the server would go on with nobody to stop it.
if (process.env.npm_command === "exec") {
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    if (!isTold) handOn("SIGTERM");
  }, 200);
}

child.on("error", (error) => {
  console.error(`longhaul: failed to start the binary: ${error.message}`);
  process.exit(1);
});
// The exit code of a process that a signal ended is, by the shells' convention, 128 and the signal's number.
child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
