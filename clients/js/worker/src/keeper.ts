// Keeps the leases of a worker's jobs in a thread of its own: a handler that computes for long holds the main thread's event
// loop, and a heartbeat that waited for it would come too late. Then the job is given to another worker while it still runs here.
import { parentPort, workerData } from "node:worker_threads";
import { type FromKeeper, type KeeperData, type Lease, now, type ToKeeper } from "./thread.js";

const port = parentPort;
if (port !== null) {
  const data = workerData as KeeperData;
  /** By lease, the time at which the last heartbeat that got through was sent. */
  const kept = new Map<string, { lease: Lease; at: number }>();
  const key = ({ id, token }: Lease) => `${token} ${id}`;
  const tell = (message: FromKeeper) => port.postMessage(message);
  const drop = (lease: Lease) => {
    kept.delete(key(lease));
    tell({ lease, status: "lost" });
  };

  const beat = async () => {
    const held = [...kept.values()];
    const sentAt = now();
    let reason: string;
    try {
      const response = await fetch(`${data.url}/api/worker/heartbeat`, {
        method: "POST",
        headers: { "content-type": "application/json", ...data.headers },
        body: JSON.stringify({ worker: data.worker, leases: held.map(({ lease }) => lease), lease_for: data.lease }),
        signal: AbortSignal.timeout(Math.ceil(Math.max(1_000, (data.lease * 1_000) / 3))),
      });
      if (response.ok) {
        const { statuses } = (await response.json()) as { statuses: string[] };
        held.forEach((one, index) => {
          one.at = sentAt;
          if (statuses[index] === "lost") drop(one.lease);
          else if (statuses[index] === "cancel_requested") tell({ lease: one.lease, status: "cancel_requested" });
        });
        return;
      }
      reason = `${response.status} ${(await response.text()).slice(0, 500)}`;
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    tell({ warning: `failed to send a heartbeat: ${reason}` });
    // Where its lease may have ended, another worker may have the job from now on.
    for (const { lease, at } of held) if (now() - at >= data.lease * 1_000) drop(lease);
  };

  let timer: ReturnType<typeof setTimeout>;
  const loop = () => {
    void beat().then(() => {
      timer = setTimeout(loop, data.lease * 100);
    });
  };
  port.on("message", (message: ToKeeper) => {
    if ("add" in message) kept.set(key(message.add), { lease: message.add, at: message.at });
    else if ("remove" in message) kept.delete(key(message.remove));
    else {
      clearTimeout(timer);
      port.close();
      process.exit(0);
    }
  });
  loop();
}
