/** The API, as the pages use it. Paths are below the page's base, so that a proxy may serve all of it anywhere. */

export const STATES = ["available", "running", "scheduled", "blocked", "completed", "failed", "cancelled"] as const;
export type State = (typeof STATES)[number];

export interface AttemptError {
  attempt: number;
  at: string;
  message: string;
  kind: string;
}

export interface Job {
  id: string;
  kind: string;
  version: number;
  queue: string;
  args: unknown;
  args_cut?: boolean;
  args_bytes?: number;
  state: State;
  progress: { percent: number; message: string; data: unknown } | null;
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
  output: unknown;
  output_cut?: boolean;
  output_bytes?: number;
  errors: AttemptError[];
  cancel_requested: boolean;
  worker: string | null;
  parent: string | null;
  children: { total: number; completed: number; failed: number; cancelled: number } | null;
  key: string | null;
  labels: Record<string, string>;
}

export interface Queue {
  name: string;
  states: Record<State, number>;
  config: { retention: Record<"completed" | "failed" | "cancelled", { age: number | null; count: number | null }> };
}

export interface Worker {
  id: string;
  process: string;
  host: string;
  queues: { queue: string; slots: number }[];
  seen_at: string;
}

export interface Acted {
  matched: number;
  done: number;
  complete: boolean;
}

/** An answer that is not a success. */
export class Problem extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

/** The base of the page: `/admin/` without a proxy. */
export const base = new URL(document.baseURI).pathname.replace(/[^/]*$/, "");
const api = new URL("../api/", new URL(base, location.href));

/** Integers beyond 2⁵³ stay as they are written: they are read as text, where the browser can tell. */
function parse(text: string): unknown {
  return JSON.parse(text, function (_key, value: unknown, context?: { source?: string }) {
    const source = context?.source;
    if (typeof value === "number" && source !== undefined && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)) {
      return new Exact(source);
    }
    return value;
  } as (this: unknown, key: string, value: unknown) => unknown);
}

/** A number that JavaScript cannot hold. */
export class Exact {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

const TOKEN = "longhaul-token";

/** Signs in with a token, for this tab. */
export function signIn(token: string): void {
  if (token === "") sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

/** The header that shows the token, where somebody has signed in. */
export function authorization(): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json", ...authorization() };
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  if (signal !== undefined) init.signal = signal;
  let response: Response;
  try {
    response = await fetch(new URL(path, api), init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The server cannot be reached. The page goes on by itself when it is back.");
  }
  const text = await response.text();
  const value = text === "" ? null : parse(text);
  if (!response.ok) {
    const problem = (value ?? {}) as { detail?: string; errors?: { field: string; message: string }[] };
    const fields = (problem.errors ?? []).map(({ field, message }) => `${field} ${message}`).join("; ");
    throw new Problem(response.status, fields || problem.detail || `The server answered ${response.status}.`);
  }
  return value as T;
}

const segment = encodeURIComponent;

export const listJobs = (query: URLSearchParams, signal?: AbortSignal) =>
  call<{ jobs: Job[]; next: string | null }>("GET", `jobs?${query.toString()}`, undefined, signal);
export const getJob = (id: string, signal?: AbortSignal) => call<Job>("GET", `jobs/${segment(id)}`, undefined, signal);
export const cancelJob = (id: string) => call<Job>("POST", `jobs/${segment(id)}/cancel`);
export const retryJob = (id: string) => call<Job>("POST", `jobs/${segment(id)}/retry`);
export const deleteJob = (id: string) => call<unknown>("DELETE", `jobs/${segment(id)}`);
export const listQueues = (signal?: AbortSignal) => call<{ queues: Queue[] }>("GET", "queues", undefined, signal);
export const listWorkers = (signal?: AbortSignal) => call<{ workers: Worker[] }>("GET", "workers", undefined, signal);
export const act = (action: string, filter: unknown, options: { limit?: number; dry_run?: boolean }) =>
  call<Acted>("POST", "jobs/actions", { action, filter, ...options });
export const eventsUrl = (id: string) => new URL(`jobs/${segment(id)}/events`, api);
