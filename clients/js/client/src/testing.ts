// A server in memory, for the tests of an application: the same calls, no process and no port.
import type { Job, JobFilter, State } from "./job.js";
import { isFinished } from "./job.js";
import { parse, plain, stringify, unlikeAll } from "./json.js";
import type { Schemas } from "./openapi.js";
import { Longhaul, type LonghaulOptions } from "./longhaul.js";
import { keyListRules, LimitKeys, limitRules, pauseRules, type Reason } from "./testing-keys.js";
import { type Body, type Broken, brokenRule, fits, jobRules, pageRules, shown, waits } from "./testing-rules.js";

type Kept = Job;
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
  step<T>(name: string, work: () => T | Promise<T>): Promise<T>;
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
  /** By job, the unique key that it holds until it has ended. */
  readonly #unique = new Map<string, string>();
  readonly #gone = new Set<string>();
  /** The queues that are known, and the paused and the fair ones among them. */
  readonly #queues = new Map<string, { isPaused: boolean; isFair: boolean }>();
  readonly #retention = new Map<string, Record<string, unknown>>();
  readonly #keys = new LimitKeys(this.jobs);

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
    const isOpen = ({ queue }: Job) => this.#queues.get(queue)?.isPaused !== true;
    const waiting = [...this.jobs.values()].filter((job) => job.kind === kind && waits(job) && isOpen(job));
    const mayRun = (job: Job) => waits(job) && this.#keys.closed(job).length === 0;
    let ran = 0;
    for (const job of waiting) {
      if (mayRun(job)) ran += 1;
      while (mayRun(job) && (await this.#attempt(job, work)));
    }
    return ran;
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
    this.#begin(job);
    const stopping = new AbortController();
    this.#running.set(job.id, stopping);
    let end: () => void;
    try {
      const output = plain(await work(plain(job.args), this.#context(job, stopping.signal)));
      end = () => this.complete(job.id, output);
    } catch (error) {
      end = () => this.#endAttempt(job, error instanceof Error ? error : new Error(String(error)));
    }
    this.#running.delete(job.id);
    // The test may have ended the job meanwhile.
    if (!isFinished(job.state)) end();
    return Date.parse(job.run_at) <= Date.now();
  }

  /** What a worker does with an error of a handler. */
  #endAttempt(job: Kept, { name, message, seconds = 0 }: Error & { seconds?: number }): void {
    if (job.cancel_requested || name === "Cancel") return this.#enter(job, "cancelled");
    if (name === "Snooze" || name === "RateLimited") {
      const [until, first] = [Date.now() + 1_000 * seconds, job.limit_keys[0]];
      if (name === "RateLimited" && first !== undefined) this.#keys.pause(first, until);
      job.attempt -= 1;
      job.run_at = new Date(until).toISOString();
      return this.#enter(job, "scheduled");
    }
    const isFatal = name === "Fatal";
    const error = this.#failed(job, isFatal || name === "Error" ? message : `${name}: ${message}`, isFatal ? "fatal" : "error");
    this.#enter(job, isFatal || job.attempt >= job.max_attempts ? "failed" : "scheduled", error);
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
      step: async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
        const done = this.#steps.get(id)?.get(name);
        if (done !== undefined) return plain(done.output) as T;
        const started_at = now();
        const output = plain(await work());
        this.#steps.get(id)?.set(name, { name, output, attempt, started_at, finished_at: now() });
        signal.throwIfAborted();
        return plain(output) as T;
      },
    };
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

  #enter(job: Kept, state: State, error: Job["errors"][number] | null = null): void {
    job.state = state;
    job.finished_at = isFinished(state) ? now() : null;
    this.#log(job, "state", { state, error });
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
    const broken = route === "POST jobs" ? jobRules(body) : isBatch ? body.flatMap((one, at) => jobRules(one, `[${at}].`)) : [];
    if (broken.length > 0) return invalid(...broken);
    if (route === "POST jobs") {
      const [job, isNew] = this.#create(body);
      return answer(isNew ? job : { ...job, duplicate: true }, { status: isNew ? 202 : 200 });
    }
    if (route === "POST jobs/*" && parts[1] === "batch") {
      const created = body.map((one) => this.#create(one)).map(([{ id }, isNew]) => ({ id, duplicate: !isNew }));
      return answer(created, { status: 202 });
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
        return answer({ state: job.state, position: null, eta_seconds: null, reasons: this.#why(job) });
      case "POST token":
        return answer({ token: `read-${job.id}` });
      case "POST cancel":
        this.#apply("cancel", job, {});
        return answer(job, { status: 202 });
      case "POST retry":
      case "DELETE ":
        if (!this.#apply(request.method === "DELETE" ? "delete" : "retry", job, body)) {
          return problem(409, "not_finished", `the job is ${job.state}; this is for finished jobs, cancel it first`);
        }
        return request.method === "DELETE" ? new Response(null, { status: 204 }) : answer(job, { status: 202 });
    }
    return problem(404, "no_such_route", `${url.pathname} is not served`);
  }

  #create(body: Body): [Kept, boolean] {
    const unique = body.unique ? stringify([body.kind, body.unique.key ?? (body.unique.fields && body.args)]) : undefined;
    for (const job of this.jobs.values()) {
      const isHeld = unique !== undefined && unique === this.#unique.get(job.id) && !isFinished(job.state);
      if (job.id === body.id || isHeld) return [job, false];
    }
    const limitKeys = body.limit_keys ?? (body.key == null ? [] : [body.key]);
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
      run_at: body.run_at ?? now(),
      started_at: null,
      finished_at: null,
      output: null,
      errors: [],
      cancel_requested: false,
      worker: null,
      parent: body.parent ?? null,
      children: null,
      limit_keys: limitKeys,
      key: limitKeys[0] ?? null,
      cost: { slots: body.cost?.slots ?? 1, rate: body.cost?.rate ?? 1 },
      labels: body.labels ?? {},
    };
    if (unique !== undefined) this.#unique.set(job.id, unique);
    this.jobs.set(job.id, job);
    if (!this.#queues.has(job.queue)) this.#queues.set(job.queue, { isPaused: false, isFair: false });
    this.#logs.set(job.id, []);
    this.#steps.set(job.id, new Map());
    const isLater = body.run_at !== undefined || Number(body.delay ?? 0) > 0;
    this.#enter(job, isLater ? "scheduled" : "available");
    return [job, true];
  }

  #apply(action: string, job: Kept, to: { args?: unknown; priority?: number | null | undefined }): boolean {
    if (isFinished(job.state) !== (action === "retry" || action === "delete")) return false;
    if (action === "set_priority") job.priority = to.priority ?? 0;
    else if (action === "delete") {
      this.jobs.delete(job.id);
      this.#gone.add(job.id);
      this.#tell(job, "deleted");
    } else if (action === "retry") {
      if (to.args !== undefined) this.#steps.get(job.id)?.clear();
      Object.assign(job, { attempt: 0, output: null, progress: null, cancel_requested: false, ...(to.args !== undefined && { args: to.args }) });
      this.#enter(job, "available");
    } else if (this.#running.has(job.id)) {
      // Its handler is asked to stop, and ends it.
      job.cancel_requested = true;
      this.#running.get(job.id)?.abort(new DOMException("the job was cancelled", "AbortError"));
    } else this.#enter(job, "cancelled");
    return true;
  }

  #queue(method: string, name: string | undefined, action: string | undefined, body: Schemas["QueuePatch"]): Response {
    if (name === undefined) return answer({ queues: [...this.#queues.keys()].sort().map((name) => this.#shown(name)) });
    const { isPaused = false, isFair = false } = this.#queues.get(name) ?? {};
    if (action === "pause" || action === "resume") this.#queues.set(name, { isPaused: action === "pause", isFair });
    else if (method === "PATCH") {
      const patched = { ...RETENTION, ...this.#retention.get(name) };
      for (const [state, kept] of Object.entries(body.retention ?? {})) patched[state] = { ...(patched[state] as object), ...kept };
      this.#retention.set(name, patched);
      this.#queues.set(name, { isPaused, isFair: body.fair ?? isFair });
    }
    return this.#queues.has(name) ? answer(this.#shown(name)) : problem(404, "no_such_queue", "no queue of this name is known");
  }

  #shown(name: string): Schemas["Queue"] {
    const states = { blocked: 0, scheduled: 0, available: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
    for (const { queue, state } of this.jobs.values()) if (queue === name) states[state] += 1;
    const paused = this.#queues.get(name)?.isPaused === true;
    const waiting = states.available + states.blocked;
    const counts = { active: states.running, completed: states.completed, failed: states.failed + states.cancelled, delayed: states.scheduled, waiting: paused ? 0 : waiting, paused: paused ? waiting : 0 };
    const config = { retention: this.#retention.get(name) ?? RETENTION, fair: this.#queues.get(name)?.isFair === true };
    return { name, paused, states, counts, config } as unknown as Schemas["Queue"];
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
    const closed = this.#keys.closed(job);
    if (job.state === "available") return [...queue, ...closed, { rule: "no_worker", key: job.queue }];
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
  return new Response(stringify(body), { ...init, headers: { "content-type": "application/json" } });
}

function now(): string {
  return new Date().toISOString();
}

function invalid(...errors: Broken[]): Response {
  const detail = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return answer({ type: "about:blank", status: 422, code: "invalid", detail, errors }, { status: 422 });
}

function problem(status: number, code: string, detail: string): Response {
  return answer({ type: "about:blank", status, code, detail }, { status });
}
