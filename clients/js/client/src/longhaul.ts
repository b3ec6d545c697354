import { ConnectionError, DuplicateJob, JobCancelled, JobFailed, TimeoutError } from "./errors.js";
import { apiError, authorization, mayHelp, pause, request, retryAfter, type Settings, sleep, words } from "./http.js";
import { type Acted, isFinished, type Job, type JobEvent, type JobFilter, type JobOptions } from "./job.js";
import { eventOf, Parser } from "./sse.js";

/** The args and the output of each kind, for types: `new Longhaul<{ welcome: { args: {name: string}; output: string } }>()`. */
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
  signal?: AbortSignal;
}

export interface WaitOptions {
  /** In milliseconds; without it the wait is as long as the job. */
  timeout?: number;
  /** Ends the waiting. The job goes on, unless `cancelOnAbort` is set. */
  signal?: AbortSignal;
  cancelOnAbort?: boolean;
}

/** The longest that one request asks the server to hold its answer, in seconds; the server's own bound is 60. */
const HELD_FOR = 25;
/** A heartbeat comes every 15 seconds, so that a silence of three is a connection that is gone. */
const SILENCE = 45_000;

/** A client of a Longhaul server. */
export class Longhaul<K extends Kinds = Kinds> {
  readonly jobs: Jobs;
  /** How the server is reached. */
  readonly settings: Settings;

  constructor(options: LonghaulOptions = {}) {
    this.settings = {
      url: (options.url ?? "http://127.0.0.1:8000").replace(/\/+$/, ""),
      token: options.token,
      timeout: options.timeout ?? 30_000,
      maxRetries: options.maxRetries ?? 2,
      fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
    };
    this.jobs = new Jobs(this.settings);
  }

  /** Enqueues a job and answers as soon as it is durable. */
  async enqueue<N extends keyof K & string>(
    kind: N,
    args: ArgsOf<K, N>,
    options: EnqueueOptions = {},
  ): Promise<JobHandle<OutputOf<K, N>>> {
    const { onDuplicate = "join", signal, ...fields } = options;
    const response = await request(this.settings, {
      method: "POST",
      path: "/api/jobs",
      body: { kind, args: args ?? null, ...fields },
      signal,
    });
    const job = (await response.json()) as Job<OutputOf<K, N>>;
    if (job.duplicate && onDuplicate === "throw") throw new DuplicateJob(job);
    return new JobHandle(this.settings, job.id, job);
  }

  /** Enqueues up to 10,000 jobs, all or none. */
  async enqueueMany(jobs: ({ kind: keyof K & string; args?: unknown } & JobOptions)[]): Promise<JobHandle[]> {
    const body = jobs.map((job) => ({ ...job, args: job.args ?? null }));
    const response = await request(this.settings, { method: "POST", path: "/api/jobs/batch", body });
    const created = (await response.json()) as { id: string }[];
    return created.map(({ id }) => new JobHandle(this.settings, id));
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

  /** A handle on a job that exists already, without asking the server. */
  job<Output = unknown>(id: string): JobHandle<Output> {
    return new JobHandle(this.settings, id);
  }
}

/** A job on the server. */
export class JobHandle<Output = unknown> {
  readonly id: string;
  /** The job as it stood when it was last read, where it was. */
  last: Job<Output> | undefined;
  readonly #settings: Settings;

  constructor(settings: Settings, id: string, last?: Job<Output>) {
    this.#settings = settings;
    this.id = id;
    this.last = last;
  }

  /** Reads the job. */
  async get(signal?: AbortSignal): Promise<Job<Output>> {
    return this.#read(await request(this.#settings, { path: this.#path(), signal }));
  }

  /** Waits for the end and answers the output. Throws `JobFailed`, `JobCancelled`, or `TimeoutError`. */
  async wait({ timeout, signal, cancelOnAbort = false }: WaitOptions = {}): Promise<Output> {
    const deadline = timeout === undefined ? Infinity : performance.now() + timeout;
    try {
      for (;;) {
        const held = Math.max(0, Math.min(HELD_FOR, Math.floor((deadline - performance.now()) / 1_000)));
        const headers: Record<string, string> = held > 0 ? { prefer: `wait=${held}` } : {};
        const job = await this.#read(
          await request(this.#settings, { path: this.#path(), headers, heldFor: held * 1_000, signal }),
        );
        if (isFinished(job.state)) return outcome(job);
        const left = deadline - performance.now();
        if (left <= 0) throw new TimeoutError(`job ${this.id} is still ${job.state} after ${timeout} ms`, this.id);
        if (held === 0) await sleep(Math.min(left, 200), signal);
      }
    } catch (error) {
      if (cancelOnAbort && signal?.aborted) await this.cancel();
      throw error;
    }
  }

  /**
   * Follows the job's events from the first, or from the one after number `after`, until the job has ended. A connection that
   * breaks is made anew, and goes on after the last event: none is lost, none comes twice.
   */
  async *events({ after = 0, signal }: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<JobEvent, void, void> {
    for (let tries = 0; ; tries++) {
      const parser = new Parser();
      let error: Error = new ConnectionError(`the events of job ${this.id} were cut off`);
      let told: number | undefined;
      const silence = new AbortController();
      const abort = () => silence.abort(signal?.reason);
      if (signal?.aborted) throw signal.reason;
      signal?.addEventListener("abort", abort);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(new Error("the server fell silent")), SILENCE);
      };
      try {
        heard();
        const response = await this.#settings.fetch(this.#settings.url + this.#path("/events"), {
          headers: { accept: "text/event-stream", "last-event-id": String(after), ...authorization(this.#settings) },
          signal: silence.signal,
        });
        if (response.status === 204) return;
        if (!response.ok || response.body === null) {
          const problem = await apiError(response);
          if (!mayHelp(response.status)) throw problem;
          error = problem;
          told = retryAfter(response.headers.get("retry-after"));
        } else {
          const reader = response.body.getReader();
          for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
            heard();
            for (const message of parser.feed(piece.value)) {
              const event = eventOf(message);
              if (event === undefined) continue;
              after = event.id;
              tries = 0;
              yield event;
              if (event.type === "state" && isFinished(event.state)) return;
            }
          }
        }
      } catch (failure) {
        if (signal?.aborted || (failure as Error).name === "ApiError" || "status" in (failure as object)) throw failure;
        error = new ConnectionError(`the events of job ${this.id} were cut off: ${words(failure)}`, failure);
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        // Also where the reader has left the loop: the connection is closed, the job goes on.
        silence.abort();
      }
      if (tries > this.#settings.maxRetries) throw error;
      await sleep(pause(tries, told ?? parser.retry), signal);
    }
  }

  /** Follows the job to its end and joins its chunks, those of the attempt that completed. Throws as `wait` does. */
  async text(signal?: AbortSignal): Promise<string> {
    let parts: string[] = [];
    for await (const event of this.events(signal ? { signal } : {})) {
      if (event.type === "reset") parts = [];
      else if (event.type === "chunk") parts.push(typeof event.data === "string" ? event.data : JSON.stringify(event.data));
    }
    outcome(await this.get(signal));
    return parts.join("");
  }

  /** Cancels the job: at once where it waits, else it is asked to stop. */
  async cancel(): Promise<Job<Output>> {
    return this.#read(await request(this.#settings, { method: "POST", path: this.#path("/cancel") }));
  }

  /** Runs a job that has ended again. */
  async retry(): Promise<Job<Output>> {
    return this.#read(await request(this.#settings, { method: "POST", path: this.#path("/retry") }));
  }

  /** Removes a job that has ended. */
  async delete(): Promise<void> {
    await request(this.#settings, { method: "DELETE", path: this.#path() });
  }

  /** A token that lets a browser follow this job, and nothing else. */
  async readToken(): Promise<string> {
    const response = await request(this.#settings, { method: "POST", path: this.#path("/token") });
    return ((await response.json()) as { token: string }).token;
  }

  #path(rest = ""): string {
    return `/api/jobs/${encodeURIComponent(this.id)}${rest}`;
  }

  async #read(response: Response): Promise<Job<Output>> {
    this.last = (await response.json()) as Job<Output>;
    return this.last;
  }
}

/** All jobs: lists, and actions on many. */
export class Jobs {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The jobs that fit, newest first, page by page as they are asked for; `limit` is the size of a page. */
  async *list(filter: JobFilter & { limit?: number; full?: boolean } = {}): AsyncGenerator<Job, void, void> {
    const { limit = 50, ...rest } = filter;
    let cursor: string | null = null;
    do {
      const query: URLSearchParams = queryOf(rest);
      query.append("limit", String(limit));
      if (cursor !== null) query.append("cursor", cursor);
      const response = await request(this.#settings, { path: `/api/jobs?${query.toString()}` });
      const page = (await response.json()) as { jobs: Job[]; next: string | null };
      yield* page.jobs;
      cursor = page.next;
    } while (cursor !== null);
  }

  /** Cancels the jobs that fit. An empty list in the filter fits none. */
  cancel(options: { filter: JobFilter; limit?: number; dryRun?: boolean }): Promise<Acted> {
    return this.#act("cancel", options);
  }

  /** Runs the finished jobs that fit again. */
  retry(options: { filter: JobFilter; limit?: number; dryRun?: boolean }): Promise<Acted> {
    return this.#act("retry", options);
  }

  /** Removes the finished jobs that fit. */
  delete(options: { filter: JobFilter; limit?: number; dryRun?: boolean }): Promise<Acted> {
    return this.#act("delete", options);
  }

  async #act(
    action: string,
    { filter, limit = Infinity, dryRun = false }: { filter: JobFilter; limit?: number; dryRun?: boolean },
  ): Promise<Acted> {
    let [matched, done] = [0, 0];
    for (;;) {
      // A dry run counts all that it can at once, because nothing moves on between two requests.
      const body = { action, filter, limit: Math.min(dryRun ? 10_000 : 1_000, limit - done), dry_run: dryRun };
      const response = await request(this.#settings, { method: "POST", path: "/api/jobs/actions", body });
      const acted = (await response.json()) as Acted;
      matched += acted.matched;
      done += acted.done;
      if (acted.complete || dryRun || acted.done === 0 || done >= limit) return { matched, done, complete: acted.complete };
    }
  }
}

/** The output of a job that has completed; an error for one that has ended otherwise. */
function outcome<Output>(job: Job<Output>): Output {
  if (job.state === "failed") throw new JobFailed(job);
  if (job.state === "cancelled") throw new JobCancelled(job);
  return job.output as Output;
}

function queryOf(filter: JobFilter & { full?: boolean }): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter) as [string, unknown][]) {
    if (value === undefined) continue;
    if (name === "labels") {
      for (const [label, wanted] of Object.entries(value as Record<string, string>)) query.append("label", `${label}:${wanted}`);
    } else if (Array.isArray(value)) {
      // A list without a member fits no job: the server reads a parameter without a value so.
      for (const one of value.length > 0 ? value : [""]) query.append(name, String(one));
    } else {
      query.append(name, String(value));
    }
  }
  return query;
}
