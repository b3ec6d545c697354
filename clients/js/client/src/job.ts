/** The states of a job. The last three are ends. */
export type State = "blocked" | "scheduled" | "available" | "running" | "completed" | "failed" | "cancelled";

/** The progress of a job. */
export interface Progress {
  /** 0 to 100. */
  percent: number;
  message: string;
  data: unknown;
}

/** A failed attempt. */
export interface AttemptError {
  attempt: number;
  at: string;
  message: string;
  kind: string;
}

/** A job as it stood when the server answered. Times are RFC 3339, durations seconds. */
export interface Job<Output = unknown, Args = unknown> {
  id: string;
  kind: string;
  version: number;
  queue: string;
  args: Args;
  state: State;
  progress: Progress | null;
  attempt: number;
  max_attempts: number;
  crashes: number;
  interruptions: number;
  priority: number;
  timeout: number | null;
  position: number | null;
  eta_seconds: number | null;
  created_at: string;
  run_at: string;
  started_at: string | null;
  finished_at: string | null;
  output: Output | null;
  errors: AttemptError[];
  cancel_requested: boolean;
  worker: string | null;
  parent: string | null;
  children: { total: number; completed: number; failed: number; cancelled: number } | null;
  key: string | null;
  labels: Record<string, string>;
  /** True in an answer to a request that created nothing. */
  duplicate?: boolean;
}

/** True once the job has completed, failed or been cancelled. */
export function isFinished(state: State): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}

interface Place {
  /** The number of the event; the next connection goes on after it. */
  id: number;
  attempt: number;
  at: string;
}

/** An event of a job's log, by `type`. */
export type JobEvent =
  | (Place & { type: "state"; state: State; error: AttemptError | null })
  | (Place & { type: "progress" } & Progress)
  | (Place & { type: "log"; level: string; message: string })
  | (Place & { type: "chunk"; data: unknown })
  | (Place & { type: "output"; output: unknown })
  /** The attempt failed, or the log begins anew: drop the chunks so far. */
  | (Place & { type: "reset" })
  /** The log is bounded, and events between the last one seen and the next one are gone. */
  | (Place & { type: "gap" });

/** The options of a job: the fields of `POST /api/jobs` by their names there. Durations are in seconds. */
export interface JobOptions {
  queue?: string;
  /** 1–128 characters of `A–Z a–z 0–9 . _ : -`. An id that exists creates nothing. */
  id?: string;
  unique?: { key?: string; fields?: string[]; period?: number; on_clash?: "join" | "reject" };
  run_at?: string;
  delay?: number;
  priority?: number;
  max_attempts?: number;
  timeout?: number;
  key?: string;
  parent?: string;
  labels?: Record<string, string>;
}

/** Selects jobs; an empty list fits none. */
export interface JobFilter {
  ids?: string | string[];
  state?: State | State[];
  kind?: string | string[];
  queue?: string | string[];
  parent?: string | string[];
  labels?: Record<string, string>;
  q?: string;
}

/** The result of a bulk action. */
export interface Acted {
  /** Jobs that fitted, of those that were looked at. */
  matched: number;
  /** Jobs that were changed. */
  done: number;
  /** True where every job that fits was looked at. */
  complete: boolean;
}
