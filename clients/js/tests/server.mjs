// A real server on a port and in a folder of its own. `LONGHAUL_BIN` names its binary.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export class Server {
  static async start(test) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), "longhaul-js-"));
    await server.#serve("127.0.0.1:0");
    test.after(() => server.close());
    return server;
  }

  async #serve(listen) {
    const args = ["serve", "--listen", listen, "--data", this.folder, "--accept-unknown-kinds"];
    this.process = spawn(process.env.LONGHAUL_BIN, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, RUST_LOG: "info" } });
    for await (const line of createInterface({ input: this.process.stdout })) {
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
      if (url !== undefined) {
        this.url = url;
        this.process.stdout.resume();
        return;
      }
    }
    throw new Error("the server did not start");
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
