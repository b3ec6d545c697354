import type { components } from "./openapi";

type Schemas = components["schemas"];

export type Job = Schemas["Job"];
export type AttemptError = Schemas["AttemptError"];
export type Children = Schemas["Children"];
export type State = Schemas["State"];
export type Retention = Schemas["Retention"];

/** In the order in which pages show them: what waits, what runs, what has ended. */
export const STATES = ["available", "running", "scheduled", "blocked", "completed", "failed", "cancelled"] as const satisfies readonly State[];

const ENDS: ReadonlySet<State> = new Set<State>(["completed", "failed", "cancelled"]);
export const hasEnded = (state: State): boolean => ENDS.has(state);

export type Role = "viewer" | "operator" | "admin";

export interface Me {
  role: Role;
  name?: string | null;
}

export interface Searched {
  jobs: number;
  complete: boolean;
}

export interface JobPage {
  jobs: Job[];
  next: string | null;
  searched?: Searched;
}

export interface Queue extends Omit<Schemas["Queue"], "config"> {
  paused?: boolean;
  config: { retention: Retention };
}

export interface Worker {
  id: string;
  process: string;
  host: string;
  queues: { queue: string; slots: number }[];
  seen_at: string;
  kinds?: { kind: string; version: number }[];
  version?: string | null;
  started_at?: string | null;
}

export interface Spread {
  p50: number | null;
  p90: number | null;
  p99: number | null;
  max: number | null;
}

export interface Counted {
  completed: number;
  failed: number;
  wait: Spread;
  run: Spread;
}

export interface Sample {
  at: string;
  enqueued: number;
  completed: number;
  failed: number;
  cancelled: number;
  retried: number;
}

export interface Stats {
  window: number;
  step: number;
  series: Sample[];
  wait: Spread;
  run: Spread;
  queues: ({ queue: string } & Counted)[];
  kinds: ({ kind: string } & Counted)[];
  oldest_waiting: string | null;
}

export interface ErrorGroup {
  fingerprint: string;
  kind: string;
  message: string;
  count: number;
  first_at: string;
  last_at: string;
  job: string;
  spark: number[];
}

export interface Step {
  name: string;
  attempt: number;
  started_at: string | null;
  finished_at: string | null;
  output?: unknown;
}

export interface Reason {
  rule: string;
  key?: string | null;
  used?: number | null;
  of?: number | null;
  until?: string | null;
  freed_at?: string | null;
  waits_for?: string[] | null;
}

export interface Why {
  state: State;
  position: number | null;
  eta_seconds: number | null;
  reasons: Reason[];
}

export interface LimitKey {
  key: string;
  waiting: number | null;
  running: number | null;
  slots: number | null;
  rate: { n: number; per: number; burst?: number | null } | null;
  weight: number | null;
  closed_until: string | null;
  why?: string | null;
}

export interface Kind extends Counted {
  kind: string;
  known: boolean;
  workers: number;
  versions: { queue: string; version: number; waiting: number; oldest_at: string; known: boolean }[];
  newest_supported: number | null;
}

/** A change of a job's state, as the live feed tells it. */
export interface Change {
  id: string;
  kind: string;
  queue: string;
  /** Null once it was deleted. */
  state: State | null;
  attempt: number;
  at: string;
}
