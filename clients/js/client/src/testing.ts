// A server in memory, for the tests of an application: the same calls, no process and no port.
import type { Job, JobFilter, JobOptions, State } from "./job.js";
import { isFinished } from "./job.js";
import { keyAt, parse, plain, stringify, units, unlikeAll } from "./json.js";
import type { Schemas } from "./openapi.js";
import { Longhaul, type LonghaulOptions } from "./longhaul.js";
import { keyListRules, LimitKeys, limitRules, pauseRules, type Reason } from "./testing-keys.js";
import { type Body, type Broken, brokenRule, fits, jobRules, pageRules, shown, waits, queueRules, rateOf } from "./testing-rules.js";
import { startOf, UniqueKeys } from "./testing-unique.js";
import { type Asked, dependencyRules, Graphs, waitsOf } from "./testing-waits.js";

type Kept = Job;
type CancelReason = Schemas["CancelReason"];
/** The job that stands for one that was asked for, and what became of that; nothing where a bound is full. */
type Created = { job: Kept; status: "created" | "duplicate" | "replaced" | "rejected" } | { job?: never; status: "full"; full: string };
type Queue = { isPaused: boolean; isFair: boolean; slots: number | null; rate: Schemas["Rate"] | null; max_waiting: number | null; on_full: Schemas["OnFull"] };
const QUEUE: Queue = { isPaused: false, isFair: false, slots: null, rate: null, max_waiting: null, on_full: "reject" };
const DAY = 86_400;
/** What a queue keeps unless told otherwise. */
const RETENTION: Record<string, unknown> = { completed: { age: DAY, count: null }, failed: { age: 14 * DAY, count: null }, cancelled: { age: DAY, count: null } };

/** What a handler is given besides the args: the same as a worker's, of `@longhaul/worker`. */
export interface MemoryContext {
  readonly jobId: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly version: number;
  readonly labels: Readonly<Record<string, string>>;
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
  readonly jobs = new Map<string, Kept>();
  readonly #logs = new Map<string, { event: string; data: Record<string, unknown> }[]>();
  /** By job, the steps that are done. */
  readonly #steps = new Map<string, Map<string, Schemas["Step"]>>();
  /** By job, what stops the handler that runs it. */
  readonly #running = new Map<string, AbortController>();
  /** Called at each event of any job, and at its deletion. */
  readonly #listeners = new Set<(job: Job, event: string) => void>();
  readonly #replays = new Map<string, { asked: string; status: number; body: string }>();
  readonly #unique = new UniqueKeys();
  readonly #gone = new Set<string>();
  readonly #queues = new Map<string, Queue>();
  readonly #retention = new Map<string, Record<string, unknown>>();
  readonly #keys = new LimitKeys(this.jobs);
  readonly #graphs = new Graphs(this.jobs);

  /** A client of this server. */
  client(options: Omit<LonghaulOptions, "url" | "fetch"> = {}): Longhaul {
    return new Longhaul({ ...options, url: "http://memory", fetch: this.fetch });
  }

  /** The server as a `fetch`. */
  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const key = request.headers.get("idempotency-key");
    const text = await request.text();
    const asked = `${request.url} ${text}`;
    const kept = key === null ? undefined : this.#replays.get(key);
    if (kept !== undefined && kept.asked !== asked) return problem(422, "idempotency_key_reused", "the key was used for another request");
    if (kept !== undefined) return new Response(kept.body, { status: kept.status, headers: { "idempotency-replayed": "true" } });
    const response = await this.#route(request, text);
    if (key !== null && response.ok) this.#replays.set(key, { asked, status: response.status, body: await response.clone().text() });
    return response;
  };

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
    const groups = new Map<string, Kept[]>();
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

  async #call(waiting: Kept[], work: (jobs: MemoryCollected[]) => unknown): Promise<number> {
    // A key may have no slot for all of them.
    const attempts = waiting.filter((job) => this.#mayRun(job)).map((job) => ({ job, stopping: this.#open(job), isOpen: true }));
    const end = (attempt: (typeof attempts)[number], how: () => void) => {
      if (!attempt.isOpen) return;
      attempt.isOpen = false;
      this.#close(attempt.job, how);
    };
    const failed = (job: Kept, error: unknown) => this.#endAttempt(job, error instanceof Error ? error : new Error(String(error)));
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

  #thatWait(kind: string): Kept[] {
    const isOpen = ({ queue }: Job) => this.#queues.get(queue)?.isPaused !== true;
    return [...this.jobs.values()].filter((job) => job.kind === kind && waits(job) && isOpen(job));
  }

  #mayRun(job: Job): boolean {
    return waits(job) && this.#closed(job).length === 0;
  }

  /** What keeps a job from being claimed, in the order in which it is looked at: pauses, the queue's slots, the keys'. */
  #closed(job: Job): Reason[] {
    const [of, used] = [this.#queues.get(job.queue)?.slots ?? Infinity, this.#used(job.queue)];
    const isFull = used > 0 && used + (job.cost.slots ?? 1) > of;
    const keys = this.#keys.closed(job);
    const paused = keys.filter(({ rule }) => rule === "paused_key");
    return [...paused, ...(isFull ? [{ rule: "slots_queue", key: job.queue, used, of }] : []), ...keys.slice(paused.length)];
  }

  /** The slots that the running jobs of a queue take. */
  #used(name: string): number {
    let used = 0;
    for (const { state, queue, cost } of this.jobs.values()) if (state === "running" && queue === name) used += cost.slots ?? 1;
    return used;
  }

  #open(job: Kept): AbortController {
    this.#begin(job);
    const stopping = new AbortController();
    this.#running.set(job.id, stopping);
    return stopping;
  }

  #close(job: Kept, end: () => void): void {
    this.#running.delete(job.id);
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
    this.#log(job, "output", { output: job.output });
    this.#enter(job, "completed");
  }

  /** Ends a job as failed, whatever attempts are left. */
  fail(id: string, message: string): void {
    const job = this.#started(id);
    this.#enter(job, "failed", this.#failed(job, message, "fatal"));
  }

  /** The time of a job is over: it is cancelled, as `expired` where it has not begun and has an `expires_in`, else for its deadline. */
  expire(id: string): void {
    const job = this.#job(id);
    if (isFinished(job.state)) throw new Error(`job '${id}' has ended: it is ${job.state}`);
    const reason = job.started_at === null && job.expires_at !== null ? "expired" : "deadline";
    this.#enter(job, "cancelled", null, reason);
    this.#running.get(id)?.abort(new DOMException("the time of the job is over", "AbortError"));
  }

  /** The wait of a job is over: its signal has not come in time. */
  wake(id: string): void {
    const job = this.#job(id);
    if (job.state !== "blocked" || !job.waits_for?.startsWith("signal:")) throw new Error(`job '${id}' waits for no signal: it is ${job.state}`);
    this.#signal(job, job.waits_for, { timed_out: true });
  }

  /** Adds a chunk to a job's events. */
  emit(id: string, data: unknown): void {
    this.#log(this.#started(id), "chunk", { data: plain(data) });
  }

  /** Sets a job's progress. */
  progress(id: string, percent: number, message = "", data: unknown = null): void {
    const job = this.#started(id);
    job.progress = { percent, message, data: plain(data) };
    this.#log(job, "progress", { ...job.progress });
  }

  /** Writes a line to a job's log. */
  log(id: string, message: string, level: Schemas["LogLevel"] = "info"): void {
    this.#log(this.#started(id), "log", { level, message });
  }

  /** One attempt; true where another one may follow at once. */
  async #attempt(job: Kept, work: (args: any, cx: MemoryContext) => unknown): Promise<boolean> {
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
  #endAttempt(job: Kept, { name, message, seconds = 0, waits }: Error & { seconds?: number; waits?: Kept["waits_for"] }): void {
    if (waits != null && !job.cancel_requested) {
      job.attempt -= 1;
      return this.#enter(job, "blocked", null, null, waits);
    }
    if (job.cancel_requested || name === "Cancel") return this.#enter(job, "cancelled", null, job.cancel_reason ?? "asked");
    if (name === "Snooze" || name === "RateLimited") {
      const [until, first] = [Date.now() + 1_000 * seconds, job.limit_keys[0]];
      if (name === "RateLimited" && first !== undefined) this.#keys.pause(first, until);
      job.attempt -= 1;
      job.run_at = new Date(until).toISOString();
      return this.#enter(job, "scheduled");
    }
    const isFatal = name === "Fatal";
    const error = this.#failed(job, isFatal || name === "Error" ? message : `${name}: ${message}`, isFatal ? "fatal" : "error");
    const isLast = job.attempt >= job.max_attempts;
    if (isLast && !isFatal && job.on_exhausted === "pause") return this.#enter(job, "blocked", error, null, "person");
    this.#enter(job, isFatal || isLast ? "failed" : "scheduled", error);
  }

  #context(job: Kept, signal: AbortSignal): MemoryContext {
    const { id, attempt, max_attempts: maxAttempts, version, labels } = job;
    return {
      jobId: id,
      attempt,
      maxAttempts,
      version,
      labels,
      signal,
      progress: (percent, message, data) => this.progress(id, percent, message, data),
      log: (message, level) => this.log(id, message, level),
      emit: (data) => this.emit(id, data),
      // Rates bound nothing here.
      settle: (taken) => void units(taken),
      step: async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
        const done = this.#steps.get(id)?.get(name);
        if (done !== undefined) return plain(done.output) as T;
        const started_at = now();
        const output = plain(await work());
        this.#steps.get(id)?.set(name, { name, output, attempt, started_at, finished_at: now() });
        signal.throwIfAborted();
        return plain(output) as T;
      },
      ...waitsOf(job, this.#steps.get(id) ?? new Map(), this.#graphs, (children) => void children.map((child) => this.#create(child))),
    };
  }

  /** Gives a job a signal; false where an earlier one of the name stands. */
  #signal(job: Kept, name: string, output: unknown): boolean {
    const steps = this.#steps.get(job.id);
    if (steps === undefined || steps.has(name)) return false;
    steps.set(name, { name, output, attempt: job.attempt, started_at: now(), finished_at: now() });
    if (job.waits_for === name) this.#enter(job, "available");
    return true;
  }

  /** A job that runs; one that waits begins to. */
  #started(id: string): Kept {
    const job = this.#job(id);
    if (isFinished(job.state)) throw new Error(`job '${id}' has ended: it is ${job.state}`);
    if (waits(job)) this.#begin(job);
    return job;
  }

  /** Notes a failed attempt. */
  #failed(job: Kept, message: string, kind: Schemas["ErrorKind"]): Job["errors"][number] {
    const error = { attempt: job.attempt, at: now(), message, kind };
    job.errors.push(error);
    return error;
  }

  #job(id: string): Kept {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`no job '${id}' is known`);
    return job;
  }

  #begin(job: Kept): void {
    job.attempt += 1;
    job.worker = "memory";
    // What the attempt before has said is void.
    const said = this.#logs.get(job.id)?.map(({ event }) => event) ?? [];
    if (said.slice(said.lastIndexOf("reset") + 1).some((event) => event !== "state")) this.#log(job, "reset", {});
    job.started_at = now();
    this.#enter(job, "running");
  }

  #enter(job: Kept, state: State, error: Job["errors"][number] | null = null, reason: CancelReason | null = null, waits: Kept["waits_for"] = null): void {
    Object.assign(job, { state, cancel_requested: false, cancel_reason: reason, waits_for: waits });
    job.finished_at = isFinished(state) ? now() : null;
    this.#log(job, "state", { state, error });
    if (!isFinished(state)) return;
    for (const { of, is } of this.#graphs.ended(job)) {
      if (is === "cancelled") this.#enter(of, "cancelled", null, "dependency");
      else this.#enter(of, Date.parse(of.run_at) > Date.now() ? "scheduled" : "available");
    }
  }

  #log(job: Kept, event: string, data: Record<string, unknown>): void {
    this.#logs.get(job.id)?.push({ event, data: { attempt: job.attempt, at: now(), ...data } });
    this.#tell(job, event);
  }

  #tell(job: Job, event: string): void {
    for (const listener of [...this.#listeners]) listener(job, event);
  }

  /** Resolves once the job has ended, or the time that the request may be held is over. */
  #held(job: Kept, request: Request): Promise<void> {
    const seconds = Number(/\bwait=(\d+)/.exec(request.headers.get("prefer") ?? "")?.[1] ?? 0);
    if (seconds === 0 || isFinished(job.state)) return Promise.resolve();
    return new Promise((resolve) => {
      const look = () => isFinished(job.state) && over();
      const over = () => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        resolve();
      };
      const timer = setTimeout(over, 1_000 * seconds);
      request.signal.addEventListener("abort", over, { once: true });
      this.#listeners.add(look);
    });
  }

  async #route(request: Request, text: string): Promise<Response> {
    const url = new URL(request.url);
    const [, ...parts] = url.pathname.slice(1).split("/").map(decodeURIComponent);
    const body = (text === "" ? {} : parse(text)) as Body & Body[];
    const route = `${request.method} ${parts.length > 1 ? `${parts[0]}/*` : (parts[0] ?? "")}`;
    const isBatch = Array.isArray(body);
    const known = (one: Asked, place: string, before: Asked[] = []) => [...jobRules(one, place), ...dependencyRules(one, place, this.jobs, before)];
    const broken = route === "POST jobs" ? known(body, "") : isBatch ? body.flatMap((one, at) => known(one, `[${at}].`, body.slice(0, at))) : [];
    if (broken.length > 0) return invalid(...broken);
    if (route === "POST jobs") {
      const created = this.#create(body);
      if (created.status === "full") return problem(429, "queue_full", `as many jobs wait in ${created.full} as may; nothing was created`, { "retry-after": "1" });
      const { job, status } = created;
      const place = { location: `/api/jobs/${encodeURIComponent(job.id)}` };
      if (status === "rejected") return problem(409, "duplicate", `job ${job.id} holds the unique key; nothing was created`, place);
      return answer(status === "created" ? job : { ...job, [status]: true }, { status: status === "duplicate" ? 200 : 202, headers: place });
    }
    if (route === "POST jobs/*" && parts[1] === "batch") {
      const refused = { rejected: "duplicate", full: "queue_full" } as const;
      const told = ({ job, status }: Created) => ({
        id: job?.id ?? unlikeAll(),
        duplicate: status === "duplicate",
        ...(status === "replaced" && { replaced: true }),
        ...((status === "rejected" || status === "full") && { refused: refused[status] }),
      });
      return answer(body.map((one) => told(this.#create(one))), { status: 202 });
    }
    if (route === "POST jobs/*" && parts[1] === "actions") {
      const { action, filter, limit, dry_run, priority } = body as unknown as Schemas["BulkAction"] & { limit: number };
      const fault = brokenRule(filter, "filter.");
      if (fault !== undefined) return invalid(fault);
      if (priority != null && Math.abs(priority) > 100) return invalid({ field: "priority", message: "must be -100 to 100" });
      const fitting = [...this.jobs.values()].filter((job) => fits(job, filter));
      const meant = fitting.filter((job) => isFinished(job.state) === (action === "retry" || action === "delete"));
      const some = meant.slice(0, limit);
      const done = dry_run ? some.length : some.filter((job) => this.#apply(action, job, { priority })).length;
      return answer({ matched: fitting.length, done, complete: some.length === meant.length });
    }
    if (route === "GET jobs") return this.#list(url.searchParams);
    if (route === "GET events") return this.#feed(request, url.searchParams);
    if (parts[0] === "queues") return this.#queue(request.method, parts[1], parts[2], body as Schemas["QueuePatch"]);
    if (parts[0] === "keys") return this.#key(request.method, url.searchParams, body, parts[1], parts[2]);
    if (route === "GET me") return answer({ role: "admin" });
    if (route === "GET workers") return answer({ workers: [] });
    const job = this.jobs.get(parts[1] ?? "");
    if (parts[0] !== "jobs") return problem(404, "no_such_route", `${url.pathname} is not served`);
    if (job === undefined && this.#gone.has(parts[1] ?? "")) return problem(410, "gone", "the job was deleted");
    if (job === undefined) return problem(404, "no_such_job", "no job of this id is known");
    switch (`${request.method} ${parts[2] ?? ""}`) {
      case "GET ":
        await this.#held(job, request);
        return answer(job);
      case "GET events":
        return this.#events(job, request, Number(request.headers.get("last-event-id") ?? url.searchParams.get("after") ?? 0));
      case "GET steps":
        return answer([...(this.#steps.get(job.id)?.values() ?? [])].map(({ output: _, ...step }) => step));
      case "GET why":
        return answer({ state: job.state, position: null, eta_seconds: null, reasons: this.#why(job), ...ending(job) });
      case "GET graph":
        return answer(this.#graphs.around(job));
      case "POST signals": {
        if (isFinished(job.state)) return problem(409, "ended", "the job has ended; no signal changes that");
        if (parts[4] === "token") return answer({ token: `signal-${job.id}`, path: `/api/signals/signal-${job.id}`, expires_at: now() }, { status: 201 });
        return answer({ accepted: this.#signal(job, `signal:${parts[3]}`, { value: text === "" ? null : parse(text) }) }, { status: 202 });
      }
      case "POST fork":
        return this.#again(job, body, (kept) => {
          const { kind, queue, args, priority, max_attempts, timeout, limit_keys, cost, on_exhausted, labels } = job;
          const created = this.#create({ kind, queue, priority, max_attempts, timeout, limit_keys, cost, on_exhausted, labels, args: body.args === undefined ? args : body.args });
          if (created.job === undefined) return problem(429, "queue_full", `as many jobs wait in ${created.full} as may; nothing was created`, { "retry-after": "1" });
          created.job.forked_from = job.id;
          this.#steps.set(created.job.id, new Map(kept));
          return answer(created.job, { status: 202 });
        });
      case "POST token":
        return answer({ token: `read-${job.id}` });
      case "POST cancel":
        this.#apply("cancel", job, {});
        return answer(job, { status: 202 });
      case "POST retry":
        if (body.from_step != null && (isFinished(job.state) || job.waits_for === "person")) {
          return this.#again(job, body, (kept) => {
            if (!this.#apply("retry", job, { args: body.args })) return problem(409, "unique_key_held", "another job holds the unique key of this one");
            this.#steps.set(job.id, new Map(kept));
            return answer(job, { status: 202 });
          });
        }
      // What follows is for both.
      case "DELETE ":
        if (!this.#apply(request.method === "DELETE" ? "delete" : "retry", job, body)) {
          if (isFinished(job.state)) return problem(409, "unique_key_held", "another job holds the unique key of this one");
          return problem(409, "not_finished", `the job is ${job.state}; this is for finished jobs, cancel it first`);
        }
        return request.method === "DELETE" ? new Response(null, { status: 204 }) : answer(job, { status: 202 });
    }
    return problem(404, "no_such_route", `${url.pathname} is not served`);
  }

  /** Runs what a retry or a fork is with the steps that it keeps. */
  #again(job: Kept, { from_step, args }: Partial<Schemas["Retry"]>, work: (kept: [string, Schemas["Step"]][]) => Response): Response {
    const steps = [...(this.#steps.get(job.id) ?? [])];
    if (from_step == null) return work(args === undefined && job.state !== "completed" ? steps : []);
    const at = steps.findIndex(([name]) => name === from_step);
    if (at < 0) return problem(404, "no_such_step", `no step is called ${from_step}; there are ${steps.map(([name]) => name).join(", ")}`);
    if (job.state === "completed") return problem(409, "steps_forgotten", "the job has completed, and the outputs of its steps are kept until then; leave from_step out");
    return work(steps.slice(0, at));
  }

  #create(body: Body): Created {
    const there = body.id == null ? undefined : this.jobs.get(body.id);
    if (there !== undefined) return { job: there, status: "duplicate" };
    const clash = this.#unique.clash(body);
    if (clash?.fate === "join") return { job: clash.holder, status: "duplicate" };
    if (clash?.fate === "reject") return { job: clash.holder, status: "rejected" };
    if (clash?.fate === "replace") {
      const { holder, at } = clash;
      Object.assign(holder, { args: body.args ?? null, run_at: new Date(at).toISOString() });
      this.#steps.get(holder.id)?.clear();
      this.#enter(holder, at > Date.now() ? "scheduled" : "available");
      return { job: holder, status: "replaced" };
    }
    const limitKeys = body.limit_keys ?? (body.key == null ? [] : [body.key]);
    const full = this.#full(body.queue ?? "default", limitKeys);
    const refusing = full.find(({ on_full }) => on_full === "reject");
    if (refusing !== undefined) return { status: "full", full: refusing.name };
    const isDropped = full.some(({ on_full }) => on_full === "drop_newest");
    // The oldest of one bound may be that of another, too.
    if (!isDropped) for (const { waiting, most } of full) if (waiting().length >= most) this.#cancel(waiting()[0] as Kept, "dropped");
    const rival = isDropped ? undefined : this.#unique.clash(body);
    if (rival?.fate === "supersede") this.#cancel(rival.holder, "superseded");
    const startsAt = startOf(body);
    const isLater = startsAt > Date.now();
    const after = (seconds: number) => new Date(Date.now() + 1_000 * seconds).toISOString();
    const { expires_in, deadline } = body;
    const job: Kept = {
      id: body.id ?? unlikeAll(),
      kind: body.kind,
      version: 1,
      queue: body.queue ?? "default",
      args: body.args ?? null,
      state: "available",
      progress: null,
      attempt: 0,
      max_attempts: body.max_attempts ?? 3,
      crashes: 0,
      interruptions: 0,
      priority: body.priority ?? 0,
      timeout: body.timeout ?? null,
      position: null,
      eta_seconds: null,
      created_at: now(),
      run_at: isLater ? new Date(startsAt).toISOString() : now(),
      started_at: null,
      finished_at: null,
      output: null,
      errors: [],
      expires_at: expires_in == null ? null : after(expires_in),
      deadline: deadline == null ? null : typeof deadline === "number" ? after(deadline) : new Date(deadline).toISOString(),
      cancel_requested: false,
      cancel_reason: null,
      worker: null,
      parent: body.parent ?? null,
      children: null,
      depends_on: (body.depends_on ?? []).map((on) => (typeof on === "string" ? { id: on, on_failure: "cancel" } : { on_failure: "cancel", ...on })),
      waits_for: null,
      wakes_at: null,
      on_exhausted: body.on_exhausted ?? "fail",
      forked_from: null,
      limit_keys: limitKeys,
      key: limitKeys[0] ?? null,
      cost: { slots: body.cost?.slots ?? 1, rate: body.cost?.rate ?? 1 },
      prefer: body.prefer ?? null,
      prefer_hard: body.prefer_hard ?? false,
      labels: body.labels ?? {},
    };
    if (!isDropped) this.#unique.take(body, job);
    this.jobs.set(job.id, job);
    if (!this.#queues.has(job.queue)) this.#queues.set(job.queue, QUEUE);
    this.#logs.set(job.id, []);
    this.#steps.set(job.id, new Map());
    const fate = this.#graphs.begin(job);
    if (isDropped) this.#enter(job, "cancelled", null, "dropped");
    else if (fate === "cancelled") this.#enter(job, "cancelled", null, "dependency");
    else if (fate === "blocked") this.#enter(job, "blocked", null, null, "dependencies");
    else this.#enter(job, isLater ? "scheduled" : "available");
    return { job, status: "created" };
  }

  /** The bounds that are reached of a queue and of limit keys, with the jobs that wait there, the oldest first. */
  #full(queue: string, keys: string[]): { name: string; most: number; on_full: Schemas["OnFull"]; waiting: () => Kept[] }[] {
    const waitingOf = (isThere: (job: Kept) => boolean) => () => [...this.jobs.values()].filter((job) => waits(job) && isThere(job));
    const bounds = [
      { name: `queue ${queue}`, ...(this.#queues.get(queue) ?? QUEUE), waiting: waitingOf((job) => job.queue === queue) },
      ...keys.map((key) => ({ name: `limit key ${key}`, ...this.#keys.get(key), waiting: waitingOf((job) => job.limit_keys.includes(key)) })),
    ];
    return bounds.flatMap(({ name, max_waiting, on_full, waiting }) => (max_waiting !== null && waiting().length >= max_waiting ? [{ name, most: max_waiting, on_full, waiting }] : []));
  }

  /** Cancels a job: at once, or by asking the handler that runs it. */
  #cancel(job: Kept, reason: CancelReason): void {
    const stopping = this.#running.get(job.id);
    if (stopping === undefined) return this.#enter(job, "cancelled", null, reason);
    Object.assign(job, { cancel_requested: true, cancel_reason: reason });
    stopping.abort(new DOMException("the job was cancelled", "AbortError"));
  }

  #apply(action: string, job: Kept, to: { args?: unknown; priority?: number | null | undefined }): boolean {
    const isDone = isFinished(job.state) || (action === "retry" && job.waits_for === "person");
    if (isDone !== (action === "retry" || action === "delete")) return false;
    if (action === "set_priority") job.priority = to.priority ?? 0;
    else if (action === "delete") {
      this.jobs.delete(job.id);
      this.#unique.free(job);
      this.#gone.add(job.id);
      this.#tell(job, "deleted");
    } else if (action === "retry") {
      if (!this.#unique.retake(job)) return false;
      if (to.args !== undefined) this.#steps.get(job.id)?.clear();
      Object.assign(job, { attempt: 0, output: null, progress: null, expires_at: null, deadline: null, ...(to.args !== undefined && { args: to.args }) });
      this.#enter(job, "available");
    } else this.#cancel(job, "asked");
    return true;
  }

  #queue(method: string, name: string | undefined, action: string | undefined, body: Schemas["QueuePatch"]): Response {
    if (name === undefined) return answer({ queues: [...this.#queues.keys()].sort().map((name) => this.#shown(name)) });
    const queue = this.#queues.get(name) ?? QUEUE;
    if (action === "pause" || action === "resume") this.#queues.set(name, { ...queue, isPaused: action === "pause" });
    else if (method === "PATCH") {
      const broken = queueRules(body);
      if (broken.length > 0) return invalid(...broken);
      const patched = { ...RETENTION, ...this.#retention.get(name) };
      for (const [state, kept] of Object.entries(body.retention ?? {})) patched[state] = { ...(patched[state] as object), ...kept };
      this.#retention.set(name, patched);
      const { fair, slots = queue.slots, max_waiting = queue.max_waiting, on_full } = body;
      const rate = body.rate === undefined ? queue.rate : rateOf(body.rate);
      this.#queues.set(name, { ...queue, isFair: fair ?? queue.isFair, slots, rate, max_waiting, on_full: on_full ?? queue.on_full });
    }
    return this.#queues.has(name) ? answer(this.#shown(name)) : problem(404, "no_such_queue", "no queue of this name is known");
  }

  #shown(name: string): Schemas["Queue"] {
    const states = { blocked: 0, scheduled: 0, available: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
    for (const { queue, state } of this.jobs.values()) if (queue === name) states[state] += 1;
    const { isPaused: paused, isFair: fair, slots, rate, max_waiting, on_full } = this.#queues.get(name) ?? QUEUE;
    const waiting = states.available + states.blocked;
    const counts = { active: states.running, completed: states.completed, failed: states.failed + states.cancelled, delayed: states.scheduled, waiting: paused ? 0 : waiting, paused: paused ? waiting : 0 };
    const config = { retention: this.#retention.get(name) ?? RETENTION, fair, slots, rate, max_waiting, on_full };
    // No time passes here, so that no rate is ever used up.
    const limits = { used: slots === null ? null : this.#used(name), rate_left: rate?.burst ?? null, rate_free_at: null };
    return { name, paused, states, counts, config, ...limits } as unknown as Schemas["Queue"];
  }

  #key(method: string, query: URLSearchParams, body: unknown, key: string | undefined, action: string | undefined): Response {
    const refused = (broken: Broken[]) => (broken.length > 0 ? invalid(...broken) : undefined);
    if (key === undefined) return refused(keyListRules(query)) ?? answer(this.#keys.list(query));
    const limits = body as Schemas["KeyLimits"];
    const pause = body as Schemas["KeyPause"];
    const fault = refused(action === undefined ? limitRules(key, method === "PUT" ? limits : {}) : pauseRules(key, pause.for));
    if (fault !== undefined) return fault;
    if (action === "pause") this.#keys.pause(key, pause.for == null ? undefined : Date.now() + 1_000 * pause.for);
    else if (action === "resume") this.#keys.resume(key);
    else if (method === "PUT") this.#keys.set(key, limits);
    else if (method === "DELETE") {
      this.#keys.set(key, undefined);
      return new Response(null, { status: 204 });
    }
    return answer(this.#keys.get(key));
  }

  #why(job: Job): Reason[] {
    const isPaused = this.#queues.get(job.queue)?.isPaused === true;
    const queue: Reason[] = isPaused ? [{ rule: "paused_queue", key: job.queue }] : [];
    const closed = this.#closed(job);
    if (job.state === "available") return [...queue, ...closed, { rule: "no_worker", key: job.queue }];
    if (job.state === "blocked") return [this.#graphs.why(job)];
    if (job.state !== "scheduled") return [];
    const paused = closed.filter(({ rule }) => rule === "paused_key");
    // A run that came to its limit waits as long as its key is paused.
    const own: Reason[] = paused.some(({ until }) => until === job.run_at) ? [] : [{ rule: "run_at", until: job.run_at }];
    return [...own, ...paused, ...queue];
  }

  #list(query: URLSearchParams): Response {
    const filter: Record<string, unknown> = { labels: Object.fromEntries(query.getAll("label").map((label) => label.split(/:(.*)/s))) };
    for (const name of ["state", "kind", "queue", "parent"]) {
      if (query.has(name)) filter[name] = query.getAll(name).filter((value) => value !== "");
    }
    if (query.has("q")) filter.q = query.get("q");
    const fault = pageRules(query) ?? brokenRule(filter as JobFilter);
    if (fault !== undefined) return invalid(fault);
    const fitting = [...this.jobs.values()].reverse().filter((job) => fits(job, filter as JobFilter));
    const start = Number(query.get("cursor") ?? 0);
    const end = start + Number(query.get("limit") ?? 50);
    return answer({ jobs: fitting.slice(start, end).map((job) => (query.get("full") === "true" ? job : shown(job))), next: end < fitting.length ? String(end) : null, searched: { jobs: this.jobs.size, complete: end >= fitting.length } });
  }

  #events(job: Kept, request: Request, after: number): Response {
    const log = this.#logs.get(job.id) ?? [];
    let sent = after;
    if (sent >= log.length && isFinished(job.state)) return new Response(null, { status: 204 });
    return this.#stream(request, "", (send, close) => {
      const next = () => {
        // A state is told to those who hear the change; who comes later hears the present one.
        const last = log.map(({ event }) => event).lastIndexOf("state");
        for (; sent < log.length; sent++) if (log[sent]?.event !== "state" || sent === last) send(`id: ${sent + 1}\nevent: ${log[sent]?.event}\ndata: ${stringify(log[sent]?.data)}\n\n`);
        if (isFinished(job.state)) close();
      };
      next();
      return (changed) => changed === job && next();
    });
  }

  #feed(request: Request, query: URLSearchParams): Response {
    const [queues, kinds] = [query.getAll("queue"), query.getAll("kind")];
    return this.#stream(request, ": following\n\n", (send) => (job, event) => {
      const isMeant = (queues.length === 0 || queues.includes(job.queue)) && (kinds.length === 0 || kinds.includes(job.kind));
      if (!isMeant || (event !== "state" && event !== "deleted")) return;
      const { id, kind, queue, attempt } = job;
      send(`event: job\ndata: ${stringify({ id, kind, queue, state: event === "deleted" ? null : job.state, attempt, at: now() })}\n\n`);
    });
  }

  /** A stream of server-sent events that stays open until it is closed, or its reader leaves. */
  #stream(
    request: Request,
    first: string,
    begin: (send: (text: string) => void, close: () => void) => (job: Job, event: string) => void,
  ): Response {
    const encoder = new TextEncoder();
    let leave = () => {};
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        let isOpen = true;
        const end = (how: () => void) => () => {
          if (isOpen) how();
          isOpen = false;
          leave();
        };
        const send = (text: string) => stream.enqueue(encoder.encode(text));
        if (first !== "") send(first);
        const listener = begin(send, end(() => stream.close()));
        leave = () => this.#listeners.delete(listener);
        if (isOpen) this.#listeners.add(listener);
        request.signal.addEventListener("abort", end(() => stream.error(request.signal.reason)), { once: true });
      },
      cancel: () => leave(),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }
}

function answer(body: unknown, init: ResponseInit = {}): Response {
  return new Response(stringify(body), { ...init, headers: { "content-type": "application/json", ...init.headers } });
}

function now(): string {
  return new Date().toISOString();
}

function invalid(...errors: Broken[]): Response {
  const detail = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return answer({ type: "about:blank", status: 422, code: "invalid", detail, errors }, { status: 422 });
}

function problem(status: number, code: string, detail: string, headers: Record<string, string> = {}): Response {
  return answer({ type: "about:blank", status, code, detail }, { status, headers });
}

/** When a job ends by itself, and what it was cancelled for, where there is such a thing. */
function ending({ state, started_at, expires_at, deadline, cancel_reason }: Job): Record<string, string> {
  const times = isFinished(state) ? [] : [started_at === null ? expires_at : null, deadline];
  const [first] = times.filter((at) => at !== null).sort((one, other) => Date.parse(one) - Date.parse(other));
  return { ...(first !== undefined && { ends_at: first }), ...(cancel_reason !== null && { cancel_reason }) };
}
