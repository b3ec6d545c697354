// Keeps the leases of a worker's jobs in a thread of its own: a handler that computes for long holds the main thread's event
// loop, and a heartbeat that waited for it would come too late. Then the job is given to another worker while it still runs here.
import { parentPort, workerData } from "node:worker_threads";
import { request, words } from "@longhaul/client/http";
import { read } from "@longhaul/client/json";
import { type FromKeeper, key, type KeeperData, type Lease, now, type ToKeeper } from "./thread.js";

const port = parentPort;
if (port !== null) {
  const { settings, worker, lease: seconds } = workerData as KeeperData;
  const lease = seconds * 1_000;
  // A beat that is late is sent anew with the next one, and not again by itself.
  const once = { ...settings, timeout: Math.max(1_000, lease / 3), maxRetries: 0, fetch };
  /** By lease, the time at which the last heartbeat that got through was sent. */
  const kept = new Map<string, { lease: Lease; at: number }>();
  const tell = (message: FromKeeper) => port.postMessage(message);
  const drop = (lease: Lease, status: "lost" | "unheard") => kept.delete(key(lease)) && tell({ lease, status });

  const beat = async () => {
    const held = [...kept.values()];
    const sentAt = now();
    try {
      const body = { worker, leases: held.map(({ lease }) => lease), lease_for: seconds };
      const response = await request(once, { method: "POST", path: "/api/worker/heartbeat", body });
      const { statuses } = await read<{ statuses: string[] }>(response);
      held.forEach((one, index) => {
        one.at = sentAt;
        if (statuses[index] === "lost") drop(one.lease, "lost");
        else if (statuses[index] === "cancel_requested") tell({ lease: one.lease, status: "cancel_requested" });
      });
    } catch (error) {
      tell({ warning: `failed to send a heartbeat: ${words(error)}` });
    }
  };

  let beating: ReturnType<typeof setTimeout>;
  const loop = () => {
    void beat().then(() => {
      beating = setTimeout(loop, lease / 10);
    });
  };
  // Two heartbeats before a lease ends its run is stopped, also while one is on its way: after that another worker may have the job.
  const looking = setInterval(() => {
    for (const one of kept.values()) if (now() - one.at >= 0.8 * lease) drop(one.lease, "unheard");
  }, lease / 20);
  port.on("message", (message: ToKeeper) => {
    if ("add" in message) for (const one of message.add) kept.set(key(one), { lease: one, at: message.at });
    else if ("remove" in message) for (const one of message.remove) kept.delete(key(one));
    else {
      clearTimeout(beating);
      clearInterval(looking);
      port.close();
      process.exit(0);
    }
  });
  loop();
}
