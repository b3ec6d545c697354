import { DuplicateJob, isApiError } from "./errors.js";
import { type EnqueueStatus, giveSignal, JobHandle, type WaitOptions } from "./handle.js";
import { checkHeader, request, segment, type Settings } from "./http.js";
import type { Job, JobOptions } from "./job.js";
import { Jobs, queryOf } from "./jobs.js";
import { parse, read } from "./json.js";
import { askKey, type Key, type KeyFilter, type KeyPage, keysOf, keysPage, removeKey } from "./keys.js";
import type { Schemas } from "./openapi.js";
import { Queues } from "./queues.js";
import { Schedules } from "./schedules.js";
import { Tokens } from "./tokens.js";
import { messages } from "./stream.js";
import { type Delivery, redeliver, WebhookSecrets } from "./webhooks.js";

/**
 * The args and the output of each kind, for types: `new Longhaul<{ welcome: { args: {name: string}; output: string } }>()`. An integer
 * beyond `Number.MAX_SAFE_INTEGER` is read as a bigint: where one may come, the type is `number | bigint`.
 */
export type Kinds = Record<string, { args?: unknown; output?: unknown }>;
type ArgsOf<K extends Kinds, N extends keyof K> = K[N] extends { args: infer A } ? A : unknown;
type OutputOf<K extends Kinds, N extends keyof K> = K[N] extends { output: infer O } ? O : unknown;

export interface LonghaulOptions {
  /** The server; `http://127.0.0.1:8000` unless given. In a browser `""` is the page's own. */
  url?: string;
  token?: string;
  /** The longest that one request may take, in milliseconds; 30,000 unless given. Waiting for a job is not bounded by it. */
  timeout?: number;
  /** How often a request is sent again after 408, 429, 5xx and broken connections; 2 unless given. */
  maxRetries?: number;
  fetch?: typeof globalThis.fetch;
}

export interface EnqueueOptions extends JobOptions {
  /** What to do where a job with the same id or unique key exists: take it, or throw `DuplicateJob`. */
  onDuplicate?: "join" | "throw";
  /**
   * Sent as `Idempotency-Key`: the same key and job within 24 hours are one job, also where the program has been started anew
   * between. Without it each call has a key of its own.
   */
  idempotencyKey?: string;
  /** The place in a trace that the job belongs to, in the form of the W3C's header `traceparent`. Whoever runs the job is told it. */
  traceparent?: string;
  signal?: AbortSignal;
}

/** A change of a job, or a note that changes before it may have been missed. */
export type FeedEvent = ({ type: "job" } & Schemas["FeedItem"]) | { type: "gap" };

/** A client of a Longhaul server. */
export class Longhaul<K extends Kinds = Kinds> {
  readonly jobs: Jobs;
  readonly queues: Queues;
  readonly schedules: Schedules;
  readonly tokens: Tokens;
  readonly webhookSecrets: WebhookSecrets;
  /** How the server is reached. */
  readonly settings: Settings;

  constructor(options: LonghaulOptions = {}) {
    const url = options.url ?? "http://127.0.0.1:8000";
    // A path is one of the page's own server.
    if (!/^(https?:\/\/[^/?#]|\/|$)/i.test(url)) throw new RangeError(`the url must be http://HOST:PORT or https://HOST, and is '${url}'`);
    // One of white space alone is none, as that of a variable that is not set.
    const token = options.token?.trim() || undefined;
    checkHeader("authorization", token ?? "");
    this.settings = {
      url: url.replace(/\/+$/, ""),
      token,
      timeout: options.timeout ?? 30_000,
      maxRetries: options.maxRetries ?? 2,
      fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
    };
    this.jobs = new Jobs(this.settings);
    this.queues = new Queues(this.settings);
    this.schedules = new Schedules(this.settings);
    this.tokens = new Tokens(this.settings);
    this.webhookSecrets = new WebhookSecrets(this.settings);
  }

  /** Enqueues a job and answers as soon as it is durable. */
  async enqueue<N extends keyof K & string>(
    kind: N,
    args: ArgsOf<K, N>,
    options: EnqueueOptions = {},
  ): Promise<JobHandle<OutputOf<K, N>>> {
    const { onDuplicate = "join", idempotencyKey, traceparent, signal, ...fields } = options;
    const headers = traced(traceparent);
    if (idempotencyKey !== undefined) headers["idempotency-key"] = idempotencyKey;
    // The server watches the connection of a request that it holds.
    if (fields.cancel_on_disconnect) headers.prefer = "wait=1";
    const body = { kind, args: args ?? null, ...fields };
    const response = await request(this.settings, { method: "POST", path: "/api/jobs", body, headers, heldFor: 1_000, signal }).catch((error: unknown) =>
      this.#refused(error, signal),
    );
    const job = await read<Job<OutputOf<K, N>>>(response);
    if (job.duplicate && onDuplicate === "throw") throw new DuplicateJob(job);
    const status = job.duplicate ? "duplicate" : job.replaced ? "replaced" : "created";
    return new JobHandle(this.settings, job.id, { last: job, path: linked(this.settings, response.headers.get("location")), status });
  }

  /** A refusal because of a job that holds the unique key has that job. */
  async #refused(error: unknown, signal: AbortSignal | undefined): Promise<never> {
    if (!isApiError(error, 409) || error.code !== "duplicate" || error.location === undefined) throw error;
    const path = linked(this.settings, error.location) ?? error.location;
    const holder = await request(this.settings, { path, signal }).catch((gone: unknown) => {
      // It has been deleted since; that it held the key is all that is known.
      throw isApiError(gone) ? error : gone;
    });
    throw new DuplicateJob(await read<Job>(holder));
  }

  /**
   * Enqueues up to 10,000 jobs, all or none. Where the unique key of one is held, or a queue is full, that concerns it alone, and the
   * `status` of its handle says so.
   */
  async enqueueMany(
    jobs: ({ kind: keyof K & string; args?: unknown } & JobOptions)[],
    { traceparent }: { traceparent?: string } = {},
  ): Promise<JobHandle[]> {
    const body = jobs.map((job) => ({ ...job, args: job.args ?? null }));
    const response = await request(this.settings, { method: "POST", path: "/api/jobs/batch", body, headers: traced(traceparent) });
    const created = await read<Schemas["BatchedJob"][]>(response);
    return created.map((one) => new JobHandle(this.settings, one.id, { status: statusOf(one) }));
  }

  /** Enqueues a job, waits for its end and answers its output. */
  async run<N extends keyof K & string>(
    kind: N,
    args: ArgsOf<K, N>,
    options: EnqueueOptions & { wait?: WaitOptions } = {},
  ): Promise<OutputOf<K, N>> {
    const { wait, ...rest } = options;
    return (await this.enqueue(kind, args, rest)).wait(wait);
  }

  /** What became of jobs in the last `window` seconds, in pieces of `step`: counts, and how long they waited and ran. */
  stats(of: { window?: number; step?: number; queue?: string; kind?: string } = {}): Promise<Schemas["Stats"]> {
    return this.#read("/api/stats", of);
  }

  /** The failures of the last `window` seconds, those that differ in numbers, ids and quoted words only as one group. */
  async errors(of: { window?: number; queue?: string; kind?: string } = {}): Promise<Schemas["ErrorGroup"][]> {
    return (await this.#read<Schemas["Errors"]>("/api/errors", of)).groups;
  }

  /** The kinds of jobs, with who runs them and the versions that wait. */
  async kinds(): Promise<Schemas["Kind"][]> {
    return (await this.#read<Schemas["KindList"]>("/api/kinds")).kinds;
  }

  /** The workers that were heard of within the last minute. */
  async workers(): Promise<Schemas["Worker"][]> {
    return (await this.#read<Schemas["WorkerList"]>("/api/workers")).workers;
  }

  /** The limit keys that have limits, are paused, or of which jobs wait or run, by name. */
  keys(of: KeyFilter = {}): Promise<Key[]> {
    return keysOf(this.settings, of);
  }

  /** One page of them, 100 keys unless `limit` says 1 to 1,000: where each tenant is a key, there may be very many. */
  keysPage(of: KeyFilter & { limit?: number; cursor?: string } = {}): Promise<KeyPage> {
    return keysPage(this.settings, of);
  }

  /** A limit key; one that nothing is known of with the limits that its first job would meet. */
  key(key: string): Promise<Key> {
    return askKey(this.settings, "GET", key);
  }

  /** Sets all limits of a key at once, or of all keys that begin alike: `tenant:*`. What is left out is no limit. */
  setKey(key: string, limits: Schemas["KeyLimits"]): Promise<Key> {
    return askKey(this.settings, "PUT", key, "", limits);
  }

  /** Takes the limits of a key away; those of its longest prefix hold then. */
  removeKey(key: string): Promise<void> {
    return removeKey(this.settings, key);
  }

  /** No job of the key is given to a worker for so many seconds, or until it is resumed; those that run go on. */
  pauseKey(key: string, pause: { for?: number } = {}): Promise<Key> {
    return askKey(this.settings, "POST", key, "/pause", pause);
  }

  resumeKey(key: string): Promise<Key> {
    return askKey(this.settings, "POST", key, "/resume");
  }

  /**
   * Sends the message of a delivery that has ended once more, with the same `webhook-id` and body: the new delivery. `deliveries` of a
   * job's handle tells those that there are.
   */
  redeliver(delivery: string): Promise<Delivery> {
    return redeliver(this.settings, delivery);
  }

  /**
   * Gives the signal that a token of a handle's `signalToken` is for. The first of a name wins: false where an earlier one stands. No other
   * token is needed.
   */
  redeemSignalToken(token: string, value: unknown = null): Promise<boolean> {
    return giveSignal(this.settings, `/api/signals/${segment(token)}`, value);
  }

  /** Who has changed what, newest first: a page of 50 entries unless `limit` says 1 to 500. */
  audit(of: { cursor?: string; limit?: number } = {}): Promise<Schemas["AuditPage"]> {
    return this.#read("/api/audit", of);
  }

  /** What the client's token may do. */
  me(): Promise<Schemas["Me"]> {
    return this.#read("/api/me");
  }

  /**
   * Follows all jobs, or those of some queues and kinds: `job` for each change of state, and `gap` where changes before it may have
   * been missed: at the beginning, after a connection that broke, and where the server has left some out. Who reads what is shown at
   * each `gap` misses nothing, because later changes are told.
   */
  async *events(of: { queue?: string | string[]; kind?: string | string[]; signal?: AbortSignal } = {}): AsyncGenerator<FeedEvent, void, void> {
    const { signal, ...filter } = of;
    const stream = { path: `/api/events?${queryOf(filter).toString()}`, what: "the changes of jobs", signal };
    for await (const message of messages(this.settings, stream)) {
      if (message === "open" || message.event === "gap") yield { type: "gap" };
      else if (message.event === "job") yield { type: "job", ...(parse(message.data) as Schemas["FeedItem"]) };
    }
  }

  /** A handle on a job that exists already, without asking the server. */
  job<Output = unknown>(id: string): JobHandle<Output> {
    return new JobHandle(this.settings, id);
  }

  async #read<T>(path: string, of: Record<string, unknown> = {}): Promise<T> {
    const query = queryOf(of).toString();
    return read(await request(this.settings, { path: query === "" ? path : `${path}?${query}` }));
  }
}


function statusOf({ duplicate, replaced, refused }: Schemas["BatchedJob"]): EnqueueStatus {
  if (refused != null) return refused === "queue_full" ? "full" : "rejected";
  return duplicate ? "duplicate" : replaced ? "replaced" : "created";
}

/** The path below the client's own address of a link that the server has given. The address may hold a path of a proxy. */
function linked(settings: Settings, link: string | null): string | undefined {
  if (link === null) return undefined;
  const { pathname, search } = new URL(link, "http://server");
  const base = settings.url === "" ? "" : new URL(settings.url, "http://server").pathname.replace(/\/$/, "");
  return (pathname.startsWith(`${base}/`) ? pathname.slice(base.length) : pathname) + search;
}

/** The headers of a request that stands in a trace. */
function traced(traceparent: string | undefined): Record<string, string> {
  return traceparent === undefined ? {} : { traceparent };
}
