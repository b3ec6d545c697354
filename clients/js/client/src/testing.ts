// A server in memory, for the tests of an application: the same calls, no process and no port.
import { isFinished, type Job, type JobOptions } from "./job.js";
import { keyAt, plain, units } from "./json.js";
import { Longhaul, type LonghaulOptions } from "./longhaul.js";
import type { Schemas } from "./openapi.js";
import { Reached } from "./steps.js";
import { Jobs } from "./testing-jobs.js";
import { Routes } from "./testing-routes.js";
import { now, waits } from "./testing-rules.js";
import { waitsOf } from "./testing-waits.js";

/** What a handler is given besides the args: the same as a worker's, of `@longhaul/worker`. */
export interface MemoryContext {
  readonly jobId: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly version: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly traceparent: string | undefined;
  readonly signal: AbortSignal;
  progress(percent: number, message?: string, data?: unknown): void;
  log(message: string, level?: Schemas["LogLevel"]): void;
  emit(data: unknown): void;
  settle(units: number): void;
  step<T>(name: string, work: () => T | Promise<T>): Promise<T>;
  /** Takes no time. */
  sleep(name: string, seconds: number): Promise<void>;
  /** Ends the attempt where the signal is not there: `job.signal` sets the job going again, `server.wake` as if its timeout were over. */
  waitFor<T = unknown>(name: string, options?: { timeout?: number }): Promise<T | undefined>;
  /** A token for `POST /api/signals/{token}`. */
  waitToken(name: string): Promise<string>;
  patched(name: string): Promise<boolean>;
  enqueueChildren(name: string, jobs: ({ kind: string; args?: unknown } & JobOptions)[]): Promise<string[]>;
  waitForChildren(): Promise<Schemas["Children"]>;
}

/** One job of a call: the same as a worker's. */
export interface MemoryCollected {
  readonly cx: MemoryContext;
  readonly args: any;
  readonly hasEnded: boolean;
  complete(output?: unknown): void;
  fail(error: unknown): void;
}

/** Jobs in memory. They stand still until `run`, `start`, `complete`, `fail` or a call moves them; no time passes for them. */
export class MemoryServer {
  readonly #jobs = new Jobs();
  readonly #routes = new Routes(this.#jobs);
  /** All jobs, by id, as the API has them. */
  readonly jobs: ReadonlyMap<string, Job> = this.#jobs.byId;

  /** A client of this server. */
  client(options: Omit<LonghaulOptions, "url" | "fetch"> = {}): Longhaul {
    return new Longhaul({ ...options, url: "http://memory", fetch: this.fetch });
  }

  /** The server as a `fetch`. */
  readonly fetch: typeof globalThis.fetch = (input, init) => this.#routes.answer(new Request(input, init));

  /**
   * Runs all jobs of a kind that wait, oldest first, also those whose time has not come; those whose queue or limit key is paused, or
   * whose limit key has no slot free, go on waiting. An error is a failed attempt, and the job runs again at once where it has attempts
   * left; `Fatal`, `Cancel`, `Snooze` and `RateLimited` are heeded as by a worker. Resolves to how many jobs were run.
   */
  async run(kind: string, work: (args: any, cx: MemoryContext) => unknown): Promise<number> {
    let ran = 0;
    for (const job of this.#thatWait(kind)) {
      if (this.#mayRun(job)) ran += 1;
      while (this.#mayRun(job) && (await this.#attempt(job, work)));
    }
    return ran;
  }

  /**
   * Hands all jobs of a kind that wait to a worker's collecting handler, in calls of up to `max` that have the value at `by` in common.
   * Resolves to how many calls that were. A job whose attempt has failed waits for the next `collect`.
   */
  async collect(kind: string, work: (jobs: MemoryCollected[]) => unknown, { max = 100, by }: { max?: number; by?: string } = {}): Promise<number> {
    const groups = new Map<string, Job[]>();
    for (const job of this.#thatWait(kind)) {
      const key = `${job.queue} ${keyAt(job.args, by?.split(".") ?? [])}`;
      groups.set(key, [...(groups.get(key) ?? []), job]);
    }
    let calls = 0;
    for (const group of groups.values()) {
      for (let at = 0; at < group.length; at += max) calls += await this.#call(group.slice(at, at + max), work);
    }
    return calls;
  }

  async #call(waiting: Job[], work: (jobs: MemoryCollected[]) => unknown): Promise<number> {
    // A key may have no slot for all of them.
    const attempts = waiting.filter((job) => this.#mayRun(job)).map((job) => ({ job, stopping: this.#open(job), isOpen: true }));
    const end = (attempt: (typeof attempts)[number], how: () => void) => {
      if (!attempt.isOpen) return;
      attempt.isOpen = false;
      this.#close(attempt.job, how);
    };
    const failed = (job: Job, error: unknown) => this.#endAttempt(job, error instanceof Error ? error : new Error(String(error)));
    const jobs = attempts.map((attempt): MemoryCollected => ({
      cx: this.#context(attempt.job, attempt.stopping.signal),
      args: plain(attempt.job.args),
      get hasEnded() {
        return !attempt.isOpen;
      },
      complete: (output = null) => {
        const kept = plain(output);
        end(attempt, () => this.complete(attempt.job.id, kept));
      },
      fail: (error) => end(attempt, () => failed(attempt.job, error)),
    }));
    if (jobs.length === 0) return 0;
    let rest: unknown = new Error("its call ended and gave it no end of its own");
    try {
      await work(jobs);
    } catch (error) {
      rest = error;
    }
    for (const attempt of attempts) end(attempt, () => failed(attempt.job, rest));
    return 1;
  }

  #thatWait(kind: string): Job[] {
    const isOpen = ({ queue }: Job) => !this.#jobs.queues.isPaused(queue);
    return [...this.jobs.values()].filter((job) => job.kind === kind && waits(job) && isOpen(job));
  }

  #mayRun(job: Job): boolean {
    return waits(job) && this.#jobs.closed(job).length === 0;
  }

  #open(job: Job): AbortController {
    this.#begin(job);
    const stopping = new AbortController();
    this.#jobs.running.set(job.id, stopping);
    return stopping;
  }

  #close(job: Job, end: () => void): void {
    this.#jobs.running.delete(job.id);
    // The test may have ended the job meanwhile.
    if (!isFinished(job.state)) end();
  }

  /** Begins an attempt of a job, as if a worker had taken it. */
  start(id: string): void {
    this.#started(id);
  }

  /** Ends a job as completed. */
  complete(id: string, output: unknown = null): void {
    const job = this.#started(id);
    job.output = plain(output);
    this.#jobs.log(job, "output", { output: job.output });
    this.#jobs.enter(job, "completed");
  }

  /** Ends a job as failed, whatever attempts are left. */
  fail(id: string, message: string): void {
    const job = this.#started(id);
    this.#jobs.enter(job, "failed", this.#failed(job, message, "fatal"));
  }

  /** The time of a job is over: it is cancelled, as `expired` where it has not begun and has an `expires_in`, else for its deadline. */
  expire(id: string): void {
    const job = this.#job(id);
    if (isFinished(job.state)) throw new Error(`job '${id}' has ended: it is ${job.state}`);
    const reason = job.started_at === null && job.expires_at !== null ? "expired" : "deadline";
    this.#jobs.enter(job, "cancelled", null, reason);
    this.#jobs.running.get(id)?.abort(new DOMException("the time of the job is over", "AbortError"));
  }

  /** The wait of a job is over: its signal has not come in time. */
  wake(id: string): void {
    const job = this.#job(id);
    if (job.state !== "blocked" || !job.waits_for?.startsWith("signal:")) throw new Error(`job '${id}' waits for no signal: it is ${job.state}`);
    this.#jobs.signal(job, job.waits_for, { timed_out: true });
  }

  /** Adds a chunk to a job's events. */
  emit(id: string, data: unknown): void {
    this.#jobs.log(this.#started(id), "chunk", { data: plain(data) });
  }

  /** Sets a job's progress. */
  progress(id: string, percent: number, message = "", data: unknown = null): void {
    const job = this.#started(id);
    job.progress = { percent, message, data: plain(data) };
    this.#jobs.log(job, "progress", { ...job.progress });
  }

  /** Writes a line to a job's log. */
  log(id: string, message: string, level: Schemas["LogLevel"] = "info"): void {
    this.#jobs.log(this.#started(id), "log", { level, message });
  }

  /** One attempt; true where another one may follow at once. */
  async #attempt(job: Job, work: (args: any, cx: MemoryContext) => unknown): Promise<boolean> {
    const stopping = this.#open(job);
    let end: () => void;
    try {
      const output = plain(await work(plain(job.args), this.#context(job, stopping.signal)));
      end = () => this.complete(job.id, output);
    } catch (error) {
      end = () => this.#endAttempt(job, error instanceof Error ? error : new Error(String(error)));
    }
    this.#close(job, end);
    return Date.parse(job.run_at) <= Date.now();
  }

  /** What a worker does with an error of a handler. */
  #endAttempt(job: Job, { name, message, seconds = 0, waits }: Error & { seconds?: number; waits?: Job["waits_for"] }): void {
    if (waits != null && !job.cancel_requested) {
      job.attempt -= 1;
      return this.#jobs.enter(job, "blocked", null, null, waits);
    }
    if (job.cancel_requested || name === "Cancel") return this.#jobs.enter(job, "cancelled", null, job.cancel_reason ?? "asked");
    if (name === "Snooze" || name === "RateLimited") {
      const [until, first] = [Date.now() + 1_000 * seconds, job.limit_keys[0]];
      if (name === "RateLimited" && first !== undefined) this.#jobs.keys.pause(first, until);
      job.attempt -= 1;
      job.run_at = new Date(until).toISOString();
      return this.#jobs.enter(job, "scheduled");
    }
    const isFatal = name === "Fatal";
    const error = this.#failed(job, isFatal || name === "Error" ? message : `${name}: ${message}`, isFatal ? "fatal" : "error");
    const isLast = job.attempt >= job.max_attempts;
    if (isLast && !isFatal && job.on_exhausted === "pause") return this.#jobs.enter(job, "blocked", error, null, "person");
    this.#jobs.enter(job, isFatal || isLast ? "failed" : "scheduled", error);
  }

  #context(job: Job, signal: AbortSignal): MemoryContext {
    const { id, attempt, max_attempts: maxAttempts, version, labels } = job;
    const steps = this.#jobs.steps.get(id) ?? new Map<string, Schemas["Step"]>();
    const reached = new Reached(() => steps.keys());
    return {
      jobId: id,
      attempt,
      maxAttempts,
      version,
      labels,
      traceparent: job.traceparent ?? undefined,
      signal,
      progress: (percent, message, data) => this.progress(id, percent, message, data),
      log: (message, level) => this.log(id, message, level),
      emit: (data) => this.emit(id, data),
      // Rates bound nothing here.
      settle: (taken) => void units(taken),
      step: async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
        reached.reach(name);
        const done = steps.get(name);
        if (done !== undefined) return plain(done.output) as T;
        const started_at = now();
        const output = await reached.work(name, work);
        steps.set(name, { name, output, attempt, started_at, finished_at: now() });
        signal.throwIfAborted();
        return plain(output) as T;
      },
      ...waitsOf(job, steps, reached, this.#jobs.graphs, (children) => void children.map((child) => this.#jobs.create(child))),
    };
  }

  /** A job that runs; one that waits begins to. */
  #started(id: string): Job {
    const job = this.#job(id);
    if (isFinished(job.state)) throw new Error(`job '${id}' has ended: it is ${job.state}`);
    if (waits(job)) this.#begin(job);
    return job;
  }

  /** Notes a failed attempt. */
  #failed(job: Job, message: string, kind: Schemas["ErrorKind"]): Job["errors"][number] {
    const error = { attempt: job.attempt, at: now(), message, kind };
    job.errors.push(error);
    return error;
  }

  #job(id: string): Job {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`no job '${id}' is known`);
    return job;
  }

  #begin(job: Job): void {
    job.attempt += 1;
    job.worker = "memory";
    // What the attempt before has said is void.
    const said = this.#jobs.logs.get(job.id)?.map(({ event }) => event) ?? [];
    if (said.slice(said.lastIndexOf("reset") + 1).some((event) => event !== "state")) this.#jobs.log(job, "reset", {});
    job.started_at = now();
    this.#jobs.enter(job, "running");
  }
}
