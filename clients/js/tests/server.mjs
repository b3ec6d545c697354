// A real server on a port and in a folder of its own, for the tests of the packages and of the dashboard. `LONGHAUL_BIN` names its
// binary.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/**
 * An address of a server's own, on which nobody else listens: a port of 127.0.0.1 may go to somebody who asks for a free one while the
 * server is started again. Linux has all of 127.0.0.0/8.
 */
const ownAddress = () => (process.platform === "linux" ? `127.${[0, 0, 0].map(() => randomInt(1, 255)).join(".")}` : "127.0.0.1");

export class Server {
  #args;
  #env;

  /** Starts it. It ends with the test; without one, whoever started it closes it. */
  static async start(test, { args = [], env = {} } = {}) {
    const server = new Server();
    server.#args = args;
    server.#env = env;
    server.folder = await mkdtemp(join(tmpdir(), "longhaul-js-"));
    await server.#serve(`${ownAddress()}:0`);
    test?.after(() => server.close());
    return server;
  }

  async #serve(listen) {
    const args = ["serve", "--listen", listen, "--data", this.folder, "--accept-unknown-kinds", ...this.#args];
    this.process = spawn(process.env.LONGHAUL_BIN, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, RUST_LOG: "off", ...this.#env } });
    for await (const line of createInterface({ input: this.process.stdout })) {
      const url = /http:\/\/127[.\d]+:\d+/.exec(line)?.[0];
      if (url !== undefined) {
        this.url = url;
        this.process.stdout.resume();
        return;
      }
    }
    throw new Error("the server did not start");
  }

  /** Calls the API, and answers what it answers. */
  async call(method, path, body, headers = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(`${this.url}/api/${path}`, { method, headers: { "content-type": "application/json", ...headers }, body: text });
    const answer = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${answer}`);
    return answer === "" ? null : JSON.parse(answer);
  }

  /** A token of a user of the services, with what the command line is told of it. */
  token(...words) {
    return execFileSync(process.env.LONGHAUL_BIN, ["token", "--data", this.folder, ...words], { encoding: "utf8" }).trim();
  }

  async kill() {
    this.process.kill("SIGKILL");
    await once(this.process, "exit");
  }

  async restart() {
    await this.kill();
    await this.#serve(this.url.slice("http://".length));
  }

  async close() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A promise and the function that fulfils it. */
export function signal() {
  let give;
  const given = new Promise((resolve) => (give = resolve));
  return { given, give };
}
