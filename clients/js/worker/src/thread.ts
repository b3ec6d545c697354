import type { Settings } from "@longhaul/client/http";

/** Milliseconds of a clock that no setting of the wall clock moves, the same in every thread. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** What the thread is told when it starts. */
export interface KeeperData {
  settings: Omit<Settings, "fetch">;
  worker: unknown;
  /** In seconds. */
  lease: number;
}

/** What the main thread tells. */
export type ToKeeper = { add: Lease[]; at: number } | { remove: Lease[] } | { stop: true };
/** What the thread tells. `unheard`: the lease is about to end, because no heartbeat got through. */
export type FromKeeper = { lease: Lease; status: "lost" | "cancel_requested" | "unheard" } | { warning: string };

/** The proof that a job is this worker's. */
export interface Lease {
  id: string;
  token: number;
}

/** The name of a lease among all. */
export function key({ id, token }: Lease): string {
  return `${token} ${id}`;
}
