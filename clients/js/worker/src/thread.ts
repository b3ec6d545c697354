/** Milliseconds of a clock that no setting of the wall clock moves, the same in every thread. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** What the thread is told when it starts. */
export interface KeeperData {
  url: string;
  headers: Record<string, string>;
  worker: unknown;
  /** In seconds. */
  lease: number;
}

/** What the main thread tells. */
export type ToKeeper = { add: Lease; at: number } | { remove: Lease } | { stop: true };
/** What the thread tells. */
export type FromKeeper = { lease: Lease; status: "lost" | "cancel_requested" } | { warning: string };

/** The proof that a job is this worker's. */
export interface Lease {
  id: string;
  token: number;
}
