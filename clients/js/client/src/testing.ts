// A server in memory, for the tests of an application: the same calls, no process and no port.
import type { Job, JobFilter, JobOptions, State } from "./job.js";
import { isFinished } from "./job.js";
import type { Schemas } from "./openapi.js";
import { Longhaul, type LonghaulOptions } from "./longhaul.js";

type Kept = Job;
type Body = { kind: string; args?: unknown } & JobOptions;
const OPTIONS = ["kind", "args", "queue", "id", "unique", "run_at", "delay", "priority", "max_attempts", "timeout", "key", "parent", "labels", "cancel_on_disconnect"];
const FILTERS = ["ids", "state", "kind", "queue", "parent", "labels", "q"];

/** Jobs in memory. They stand still until `run`, `complete`, `fail` or a call moves them. */
export class MemoryServer {
  readonly jobs = new Map<string, Kept>();
  readonly #logs = new Map<string, { event: string; data: Record<string, unknown> }[]>();
  readonly #replays = new Map<string, { asked: string; status: number; body: string }>();
  /** By job, the unique key that it holds until it has ended. */
  readonly #unique = new Map<string, string>();
  readonly #gone = new Set<string>();
  /** The queues that are known, and the paused ones among them. */
  readonly #queues = new Map<string, { isPaused: boolean }>();

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
    const response = this.#route(request, text);
    if (key !== null && response.ok) this.#replays.set(key, { asked, status: response.status, body: await response.clone().text() });
    return response;
  };

  /** Runs all jobs of a kind that wait, oldest first; an error fails the job. Resolves to how many. */
  async run(kind: string, work: (args: any) => unknown): Promise<number> {
    const isOpen = ({ queue }: Job) => this.#queues.get(queue)?.isPaused !== true;
    const waiting = [...this.jobs.values()].filter((job) => job.kind === kind && waits(job) && isOpen(job));
    for (const job of waiting) {
      this.#begin(job);
      try {
        this.complete(job.id, await work(job.args));
      } catch (error) {
        this.fail(job.id, error instanceof Error ? error.message : String(error));
      }
    }
    return waiting.length;
  }

  /** Ends a job as completed. */
  complete(id: string, output: unknown = null): void {
    const job = this.#job(id);
    if (waits(job)) this.#begin(job);
    job.output = JSON.parse(JSON.stringify(output)) as unknown;
    this.#log(job, "output", { output: job.output });
    this.#enter(job, "completed");
  }

  /** Ends a job as failed. */
  fail(id: string, message: string): void {
    const job = this.#job(id);
    if (waits(job)) this.#begin(job);
    job.errors.push({ attempt: job.attempt, at: now(), message, kind: "error" });
    this.#enter(job, "failed");
  }

  /** Adds a chunk to a job's events. */
  emit(id: string, data: unknown): void {
    this.#log(this.#job(id), "chunk", { data });
  }

  /** Sets a job's progress. */
  progress(id: string, percent: number, message = "", data: unknown = null): void {
    const job = this.#job(id);
    job.progress = { percent, message, data };
    this.#log(job, "progress", { ...job.progress });
  }

  #job(id: string): Kept {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`no job '${id}' is known`);
    return job;
  }

  #begin(job: Kept): void {
    job.attempt += 1;
    job.started_at = now();
    this.#enter(job, "running");
  }

  #enter(job: Kept, state: State): void {
    job.state = state;
    job.finished_at = isFinished(state) ? now() : null;
    this.#log(job, "state", { state, error: state === "failed" ? job.errors.at(-1) : null });
  }

  #log(job: Kept, event: string, data: Record<string, unknown>): void {
    this.#logs.get(job.id)?.push({ event, data: { attempt: job.attempt, at: now(), ...data } });
  }

  #route(request: Request, text: string): Response {
    const url = new URL(request.url);
    const [, ...parts] = url.pathname.slice(1).split("/").map(decodeURIComponent);
    const body = (text === "" ? {} : JSON.parse(text)) as Body & Body[];
    const route = `${request.method} ${parts.length > 1 ? `${parts[0]}/*` : (parts[0] ?? "")}`;
    const refused = route === "POST jobs" ? [refusal(body)] : Array.isArray(body) ? body.map(refusal) : [];
    for (const one of refused) if (one !== undefined) return one;
    if (route === "POST jobs") {
      const [job, isNew] = this.#create(body);
      return Response.json(isNew ? job : { ...job, duplicate: true }, { status: isNew ? 202 : 200 });
    }
    if (route === "POST jobs/*" && parts[1] === "batch") {
      const created = body.map((one) => this.#create(one)).map(([{ id }, isNew]) => ({ id, duplicate: !isNew }));
      return Response.json(created, { status: 202 });
    }
    if (route === "POST jobs/*" && parts[1] === "actions") {
      const { action, filter, limit, dry_run, priority } = body as unknown as Schemas["BulkAction"] & { limit: number };
      for (const field of Object.keys(filter)) if (!FILTERS.includes(field)) return invalid(`filter.${field}`, "unknown field");
      const fitting = [...this.jobs.values()].filter((job) => fits(job, filter));
      const meant = fitting.filter((job) => isFinished(job.state) === (action === "retry" || action === "delete"));
      const some = meant.slice(0, limit);
      const done = dry_run ? some.length : some.filter((job) => this.#apply(action, job, { priority })).length;
      return Response.json({ matched: fitting.length, done, complete: some.length === meant.length });
    }
    if (route === "GET jobs") return this.#list(url.searchParams);
    if (parts[0] === "queues") return this.#queue(request.method, parts[1], parts[2]);
    const job = this.jobs.get(parts[1] ?? "");
    if (parts[0] !== "jobs") return problem(404, "no_such_route", `${url.pathname} is not served`);
    if (job === undefined && this.#gone.has(parts[1] ?? "")) return problem(410, "gone", "the job was deleted");
    if (job === undefined) return problem(404, "no_such_job", "no job of this id is known");
    switch (`${request.method} ${parts[2] ?? ""}`) {
      case "GET ":
        return Response.json(job);
      case "GET events":
        return this.#events(job, Number(request.headers.get("last-event-id") ?? 0));
      case "GET steps":
        return Response.json([]);
      case "GET why":
        return Response.json({ state: job.state, position: null, eta_seconds: null, reasons: this.#why(job) });
      case "POST token":
        return Response.json({ token: `read-${job.id}` });
      case "POST cancel":
        this.#apply("cancel", job, {});
        return Response.json(job, { status: 202 });
      case "POST retry":
      case "DELETE ":
        if (!this.#apply(request.method === "DELETE" ? "delete" : "retry", job, body)) {
          return problem(409, "not_finished", "the job has not ended");
        }
        return request.method === "DELETE" ? new Response(null, { status: 204 }) : Response.json(job, { status: 202 });
    }
    return problem(404, "no_such_route", `${url.pathname} is not served`);
  }

  #create(body: Body): [Kept, boolean] {
    const unique = body.unique ? JSON.stringify([body.kind, body.unique.key ?? (body.unique.fields && body.args)]) : undefined;
    for (const job of this.jobs.values()) {
      const isHeld = unique !== undefined && unique === this.#unique.get(job.id) && !isFinished(job.state);
      if (job.id === body.id || isHeld) return [job, false];
    }
    const job: Kept = {
      id: body.id ?? crypto.randomUUID(),
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
      key: body.key ?? null,
      labels: body.labels ?? {},
    };
    if (unique !== undefined) this.#unique.set(job.id, unique);
    this.jobs.set(job.id, job);
    if (!this.#queues.has(job.queue)) this.#queues.set(job.queue, { isPaused: false });
    this.#logs.set(job.id, []);
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
    } else {
      if (action === "retry") Object.assign(job, { attempt: 0, output: null, ...(to.args !== undefined && { args: to.args }) });
      this.#enter(job, action === "retry" ? "available" : "cancelled");
    }
    return true;
  }

  #queue(method: string, name: string | undefined, action: string | undefined): Response {
    if (name === undefined) return Response.json({ queues: [...this.#queues.keys()].sort().map((name) => this.#shown(name)) });
    if (action === "pause" || action === "resume") this.#queues.set(name, { isPaused: action === "pause" });
    else if (method !== "GET") return problem(404, "no_such_route", "the server in memory configures no queue");
    return this.#queues.has(name) ? Response.json(this.#shown(name)) : problem(404, "no_such_queue", "no queue of this name is known");
  }

  #shown(name: string): Schemas["Queue"] {
    const states = { blocked: 0, scheduled: 0, available: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
    for (const { queue, state } of this.jobs.values()) if (queue === name) states[state] += 1;
    const paused = this.#queues.get(name)?.isPaused === true;
    const waiting = states.available + states.blocked;
    const counts = { active: states.running, completed: states.completed, failed: states.failed + states.cancelled, delayed: states.scheduled, waiting: paused ? 0 : waiting, paused: paused ? waiting : 0 };
    return { name, paused, states, counts, config: { retention: { completed: {}, failed: {}, cancelled: {} } } } as Schemas["Queue"];
  }

  #why(job: Job): { rule: string; until?: string }[] {
    if (job.state === "scheduled") return [{ rule: "run_at", until: job.run_at }];
    if (job.state !== "available") return [];
    return [{ rule: this.#queues.get(job.queue)?.isPaused === true ? "paused_queue" : "no_worker" }];
  }

  #list(query: URLSearchParams): Response {
    const filter: Record<string, unknown> = { labels: Object.fromEntries(query.getAll("label").map((label) => label.split(/:(.*)/s))) };
    for (const name of ["state", "kind", "queue", "parent"]) {
      if (query.has(name)) filter[name] = query.getAll(name).filter((value) => value !== "");
    }
    if (query.has("q")) filter.q = query.get("q");
    const fitting = [...this.jobs.values()].reverse().filter((job) => fits(job, filter as JobFilter));
    const start = Number(query.get("cursor") ?? 0);
    const end = start + Number(query.get("limit") ?? 50);
    return Response.json({ jobs: fitting.slice(start, end), next: end < fitting.length ? String(end) : null, searched: { jobs: this.jobs.size, complete: end >= fitting.length } });
  }

  #events(job: Kept, after: number): Response {
    const log = (this.#logs.get(job.id) ?? []).slice(after);
    if (log.length === 0 && isFinished(job.state)) return new Response(null, { status: 204 });
    const lines = log.map(({ event, data }, n) => `id: ${after + n + 1}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    return new Response(lines.join(""), { headers: { "content-type": "text/event-stream" } });
  }
}

function waits(job: Job): boolean {
  return job.state === "available" || job.state === "scheduled";
}

function fits(job: Job, { labels = {}, q, ids, ...rest }: JobFilter): boolean {
  const wanted: [string, string | string[] | undefined][] = [["id", ids], ...Object.entries(rest)];
  const isAny = ([name, value]: (typeof wanted)[number]) =>
    value === undefined || [value].flat().includes(String(job[name as keyof Job]));
  const words = [...(q ?? "").matchAll(/(-?)([\w.]+:)?(?:"([^"]*)"|(\S+))/g)];
  const hasWord = ([, not, name, quoted, bare]: RegExpMatchArray) => (not === "-") !== says(job, name?.slice(0, -1), quoted ?? bare ?? "");
  const hasLabels = Object.entries(labels).every(([label, value]) => job.labels[label] === value);
  return wanted.every(isAny) && hasLabels && words.every(hasWord);
}

/** True where a job fits one word of a search. */
function says(job: Job, name: string | undefined, value: string): boolean {
  const has = (of: unknown) => (JSON.stringify(of) ?? "").toLowerCase().includes(value.toLowerCase());
  if (name === undefined) return has([job.id, job.kind, job.args, job.errors.at(-1)]);
  if (name === "error") return has(job.errors.at(-1));
  if (name === "id" && value.endsWith("*")) return job.id.startsWith(value.slice(0, -1));
  if (name.startsWith("label.")) return job.labels[name.slice(6)] === value;
  if (name.startsWith("args.")) return String(name.split(".").slice(1).reduce((of: any, part) => of?.[part], job.args)) === value;
  return String(job[name as keyof Job]) === value;
}

function now(): string {
  return new Date().toISOString();
}

/** The answer to a job that breaks a rule, where it does. The server knows more of them. */
function refusal(body: Body): Response | undefined {
  for (const field of Object.keys(body)) if (!OPTIONS.includes(field)) return invalid(field, "unknown field");
  const { max_attempts: attempts } = body;
  return attempts != null && !(attempts >= 1 && attempts <= 1_000) ? invalid("max_attempts", "must be 1 to 1000") : undefined;
}

function invalid(field: string, message: string): Response {
  const errors = [{ field, message }];
  return Response.json({ type: "about:blank", status: 422, code: "invalid", detail: `${field}: ${message}`, errors }, { status: 422 });
}

function problem(status: number, code: string, detail: string): Response {
  return Response.json({ type: "about:blank", status, code, detail }, { status });
}
