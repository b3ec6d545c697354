// Workers of a test's own: what they say and how they end is what the test says.

/** Claims one job of a kind, and answers what says more of it; nothing where there is none to take. */
export async function claim(server, kind, queue, { version = 1, wait = 0, worker = workerOf(kind, queue) } = {}) {
  const { claimed } = await server.call("POST", "worker/claim", { worker, queues: [{ queue, slots: 1 }], kinds: [{ kind, version }], lease_for: 600, wait });
  await present(server, worker);
  if (claimed.length === 0) return undefined;
  const { lease, attempt, args } = claimed[0];
  return {
    id: lease.id,
    attempt,
    args,
    say: (entry) => server.call("POST", "worker/record", { records: [{ lease, entries: [entry] }] }),
    end: (outcome, follow_ups = []) => server.call("POST", "worker/finish", { finishes: [{ lease, outcome, follow_ups }] }),
  };
}

/** Makes a kind known to the server, and its worker seen. */
export async function declare(server, kind, queue, worker = workerOf(kind, queue)) {
  await server.call("POST", "worker/claim", { worker, queues: [], kinds: [{ kind, version: 1 }], lease_for: 600 });
  await present(server, worker);
}

/** A heartbeat. */
export const present = (server, worker) => server.call("POST", "worker/heartbeat", { worker, leases: [], lease_for: 600 });

const workerOf = (kind, queue) => ({ id: `tester-${kind}`, process: "tester", host: "test", queues: [{ queue, slots: 2 }] });
